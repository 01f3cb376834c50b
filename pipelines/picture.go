package pipelines

import (
	"fmt"
	"path/filepath"
	"slices"
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
		Title:         filepath.Base(run.options.Data.Path) + ", stitched",
		Snapshot:      run.staging.ID(),
		Created:       time.Now().UTC(),
		Software:      Software,
		Summary:       run.summary(),
		Headline:      run.headline(),
		Stages:        run.stages(),
		Threshold:     run.options.Delta.Value,
		Losses:        losses(run.models.Models),
		Configuration: run.configuration,
		Pools:         run.poolReturns(),
	}
	if run.engine.Notice != "" {
		page.Notices = append(page.Notices, run.engine.Notice)
	}
	for _, o := range run.outcomes {
		page.Attempts = append(page.Attempts, report.Attempt{Steps: int(o.Steps), MaxError: float64(o.MaxError), Accepted: o.Rejected == ""})
	}
	for _, r := range run.rejects {
		page.Rejects = append(page.Rejects, report.Reject{Where: fmt.Sprintf("%s row %d", r.File, r.Row), Reason: string(r.Reason) + ": " + r.Detail})
	}
	if err := run.stitches(&page, store, staged); err != nil {
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

// panels is how many stitched trajectories are drawn.
const panels = 6

// stitches draws a sample of the accepted stitches.
func (run *augmentation) stitches(page *report.Report, store *datasetio.Store, staged *datasetio.Staged) error {
	accepted := slices.DeleteFunc(slices.Clone(run.outcomes), func(o trajectory.Outcome) bool { return o.Rejected != "" })
	if len(accepted) == 0 {
		return nil
	}
	sample := spread(accepted, sampleSize)
	drawn := spread(sample, panels)
	page.Paths = &report.Paths{ObservationDim: run.shape.ObservationDim}
	page.Transitions = &report.Comparison{Columns: run.columns()}
	for _, o := range sample {
		low, err := store.Episode(o.Low.Episode)
		if err != nil {
			return err
		}
		bridge, err := staged.Fetch(o.Staged)
		if err != nil {
			return err
		}
		page.Returns = append(page.Returns, gains(o, low)...)
		page.Transitions.Generated = appendTransitions(page.Transitions.Generated, bridge)
		if i := slices.IndexFunc(drawn, func(d trajectory.Outcome) bool { return d.Index == o.Index }); i < 0 {
			continue
		}
		high, err := store.Episode(o.High.Episode)
		if err != nil {
			return err
		}
		page.Paths.Paths = append(page.Paths.Paths, path(o, low, bridge, high))
	}
	for _, m := range spread(run.metas, sampleSize/4) {
		e, err := store.Episode(m)
		if err != nil {
			return err
		}
		page.Transitions.Real = appendTransitions(page.Transitions.Real, e)
	}
	return nil
}

// gains are the returns-to-go of the low episode's states before s_T, as it was
// and as it is stitched (Figure 4 of the paper).
func gains(o trajectory.Outcome, low *trajectory.Episode) []report.Return {
	gain := o.BridgeReturn + o.HighReturn - o.LowRest
	var returns []report.Return
	for _, before := range returnToGo(low)[:o.Low.Step] {
		returns = append(returns, report.Return{Before: before, After: before + gain})
	}
	return returns
}

func appendTransitions(rows []float32, e *trajectory.Episode) []float32 {
	for step := range e.Len() {
		rows = append(rows, e.Observation(step)...)
		rows = append(rows, e.Action(step)...)
	}
	return rows
}

func path(o trajectory.Outcome, low, bridge, high *trajectory.Episode) report.Path {
	dim := low.ObservationDim
	from, to := int(o.Low.Step), int(o.High.Step)
	return report.Path{
		Caption: fmt.Sprintf("Δ %d, return %.3g → %.3g", o.Steps, o.LowReturn+o.LowRest, o.Return()),
		States:  slices.Concat(low.Observations[:from*dim], bridge.Observations, high.Observations[to*dim:]),
		Bridge:  from,
		High:    from + bridge.Len(),
	}
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

func (run *augmentation) summary() []report.Fact {
	o := run.options
	return []report.Fact{
		{Name: "backend", Value: run.engine.Description},
		{Name: "conditioning", Value: run.models.Conditioning},
		{Name: "sampler", Value: fmt.Sprintf("%s, %d steps", o.Sampler.Kind, o.Sampler.Steps)},
		{Name: "pairing", Value: o.Pairing},
		{Name: "similarity", Value: o.Estimate.Similarity.Kind + ", " + o.Estimate.Similarity.Space},
		{Name: "δ", Value: o.Delta.String()},
		{Name: "mix", Value: o.Mix.Ratio.String() + ", " + o.Mix.Emit},
		{Name: "seed", Value: fmt.Sprint(o.Seed)},
	}
}

func (run *augmentation) headline() *report.Headline {
	accepted, _ := run.accepted()
	h := &report.Headline{Attempted: int64(len(run.outcomes)), Accepted: accepted, Before: originalRows(run.metas)}
	for _, p := range run.parts {
		h.After += p.Rows
	}
	return h
}

func (run *augmentation) poolReturns() *report.Pools {
	pools := &report.Pools{}
	low, high := run.pools.Low, run.pools.High // in the order of metas
	for i := range run.metas {
		switch m := &run.metas[i]; {
		case len(low) > 0 && low[0] == m:
			pools.Low, low = append(pools.Low, m.Return), low[1:]
		case len(high) > 0 && high[0] == m:
			pools.High, high = append(pools.High, m.Return), high[1:]
		default:
			pools.Between = append(pools.Between, m.Return)
		}
	}
	return pools
}

func losses(models map[training.Kind]session.Model) []report.Loss {
	var all []report.Loss
	for _, kind := range training.Kinds {
		loss := report.Loss{Model: names[kind]}
		for _, p := range models[kind].Details.Curve {
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
}
