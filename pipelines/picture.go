package pipelines

import (
	"fmt"
	"path/filepath"
	"time"

	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
)

// report gathers what the page shows. Figures of single transitions are drawn
// from a sample.
func (run *augmentation) report(judge Judge) (report.Report, error) {
	store := datasetio.OpenStore(run.input)
	defer store.Close() // read only: nothing is lost if it fails
	staged := datasetio.OpenStaged(run.staging.WorkDir())
	defer staged.Close()

	page := report.Report{
		Title:         filepath.Base(run.options.Data.Path) + ", " + run.method.words().made,
		Snapshot:      run.staging.ID(),
		Created:       time.Now().UTC(),
		Software:      Software,
		Summary:       append([]report.Fact{{Name: "method", Value: string(run.options.Method)}}, run.method.summary(run)...),
		Headline:      run.headline(),
		Stages:        run.stages(),
		Losses:        losses(run.models),
		Configuration: run.configuration,
	}
	if run.engine.Notice != "" {
		page.Notices = append(page.Notices, run.engine.Notice)
	}
	for _, r := range run.rejects {
		page.Rejects = append(page.Rejects, report.Reject{Where: fmt.Sprintf("%s row %d", r.File, r.Row), Reason: string(r.Reason) + ": " + r.Detail})
	}
	if err := run.draw(&page, sources{store, staged}); err != nil {
		return page, err
	}
	if judge == nil {
		return page, nil
	}
	verdict, err := judge(run.outcomes, func(o trajectory.Outcome) (*trajectory.Episode, error) { return staged.Fetch(o.Staged) })
	if err != nil {
		return page, err
	}
	page.Truth = &verdict.Truth
	if page.Paths != nil {
		page.Paths.Maze = verdict.Maze
	}
	return page, nil
}

// sources are where a picture's episodes come from.
type sources struct {
	store  *datasetio.Store
	staged *datasetio.Staged
}

// draw adds the method's pictures, and a sample of real transitions beside that of
// the generated ones.
func (run *augmentation) draw(page *report.Report, of sources) error {
	page.Transitions = &report.Comparison{Columns: run.columns()}
	if err := run.method.picture(run, page, of); err != nil {
		return err
	}
	for _, m := range spread(run.metas, sampleSize/4) {
		e, err := of.store.Episode(m)
		if err != nil {
			return err
		}
		page.Transitions.Real = appendTransitions(page.Transitions.Real, e)
	}
	return nil
}

func appendTransitions(rows []float32, e *trajectory.Episode) []float32 {
	for step := range e.Len() {
		rows = append(rows, e.Observation(step)...)
		rows = append(rows, e.Action(step)...)
	}
	return rows
}

func (run *augmentation) columns() []string {
	var names []string
	for i := range run.shape.ObservationDim {
		names = append(names, fmt.Sprintf("s%d", i))
	}
	for i := range run.shape.ActionDim {
		names = append(names, fmt.Sprintf("a%d", i))
	}
	return names
}

func (run *augmentation) headline() *report.Headline {
	accepted, _ := run.accepted()
	h := &report.Headline{Unit: run.method.words().attempts, Attempted: run.judged(), Accepted: accepted, Before: originalRows(run.metas)}
	for _, p := range run.parts {
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
