package augment

import (
	"diffstitch/io/storage"
	"fmt"
	"time"

	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/augment/sample"
	"diffstitch/pipelines/version"
)

// Judge looks at every attempted bridge, and at D*, before the report is written, so
// that a simulator can say how true they are and of what use.
type Judge func(Judged) (*Verdict, error)

// Judged is what a judge looks at.
type Judged struct {
	Outcomes []trajectory.Outcome
	Bridge   BridgeOf
	Data     string // the folder of D*'s files, until it is published
}

// BridgeOf fetches the generated transitions of an attempted stitch.
type BridgeOf func(trajectory.Outcome) (*trajectory.Episode, error)

// Verdict is what a judge says of the attempted stitches.
type Verdict struct {
	Truth report.Truth
	Maze  *report.Maze
}

// unjudged is said where no simulator looked at what was made.
const unjudged = "How true the generated transitions are was not measured; where the environment has a simulator, diffstitch evaluate --truth does."

// report gathers what the page shows. Figures of single transitions are drawn
// from a sample.
func (r *run) report(judge Judge) (report.Report, error) {
	store := datasetio.OpenStore(r.dataset.Input)
	defer store.Close() // read only: nothing is lost if it fails
	staged := datasetio.OpenStaged(r.work.Dir)
	defer staged.Close()

	page := report.Report{
		Title:         storage.Base(r.options.Data.Path) + ", " + r.method.Words().Made,
		Snapshot:      r.staging.ID(),
		Created:       time.Now().UTC(),
		Software:      version.Software,
		Summary:       append([]report.Fact{{Name: "method", Value: string(r.options.Method)}}, r.method.Summary(&r.work)...),
		Headline:      r.headline(),
		Stages:        r.stages(),
		Losses:        losses(r.work.Models),
		Configuration: r.configuration,
	}
	page.Notices = append(page.Notices, r.dataset.Notes...)
	if r.engine.Notice != "" {
		page.Notices = append(page.Notices, r.engine.Notice)
	}
	for _, reject := range r.rejects {
		page.Rejects = append(page.Rejects, report.Reject{Where: fmt.Sprintf("%s row %d", reject.File, reject.Row), Reason: string(reject.Reason) + ": " + reject.Detail})
	}
	if err := r.draw(&page, method.Sources{Store: store, Staged: staged}); err != nil {
		return page, err
	}
	if judge == nil {
		page.Notices = append(page.Notices, unjudged)
		return page, nil
	}
	verdict, err := judge(Judged{
		Outcomes: r.work.Outcomes, Data: r.staging.DataDir(),
		Bridge: func(o trajectory.Outcome) (*trajectory.Episode, error) { return staged.Fetch(o.Staged) },
	})
	if err != nil {
		return page, err
	}
	page.Truth = &verdict.Truth
	if page.Paths != nil {
		page.Paths.Maze = verdict.Maze
	}
	return page, nil
}

// draw adds the method's pictures, and a sample of real transitions beside that of
// the generated ones.
func (r *run) draw(page *report.Report, of method.Sources) error {
	page.Transitions = &report.Comparison{Columns: r.columns()}
	if err := r.method.Picture(&r.work, page, of); err != nil {
		return err
	}
	for _, m := range report.Thin(r.work.Metas, sample.Size/4) {
		e, err := of.Store.Episode(m)
		if err != nil {
			return err
		}
		page.Transitions.Real = sample.AppendTransitions(page.Transitions.Real, e)
	}
	return nil
}

func (r *run) columns() []string {
	var names []string
	for i := range r.dataset.Shape.ObservationDim {
		names = append(names, fmt.Sprintf("s%d", i))
	}
	for i := range r.dataset.Shape.ActionDim {
		names = append(names, fmt.Sprintf("a%d", i))
	}
	return names
}

func (r *run) headline() *report.Headline {
	h := &report.Headline{Unit: r.method.Words().Attempts, Attempted: r.judged(), Accepted: r.accepted(), Before: originalRows(r.work.Metas)}
	for _, p := range r.parts {
		h.After += p.Rows
	}
	return h
}

func losses(models session.Info) []report.Loss {
	var all []report.Loss
	for _, kind := range models.Kinds {
		loss := report.Loss{Model: names[kind]}
		for _, p := range models.Models[kind].Details.Curve {
			loss.Train = append(loss.Train, report.LossPoint{Step: p.Step, Value: p.Loss})
			loss.HeldOut = append(loss.HeldOut, report.LossPoint{Step: p.Step, Value: p.HeldOut})
		}
		all = append(all, loss)
	}
	return all
}

// names of the models for readers of the report.
var names = map[training.Kind]string{
	training.Denoiser:        "denoiser G_θ",
	training.InverseDynamics: "inverse dynamics f_ψ",
	training.Reward:          "reward f_ϕ",
	training.Dynamics:        "dynamics f_ω",
	training.SynthER:         "SynthER’s denoiser",
	training.RolloutPolicy:   "TATU’s rollout policy",
}
