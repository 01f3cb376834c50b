package pipelines

import (
	"fmt"
	"slices"

	"diffstitch/io/report"
	"diffstitch/io/trajectory"
)

// panels is how many stitched trajectories are drawn.
const panels = 6

// picture tells of every attempt, and draws a sample of the accepted stitches.
func (stitching) picture(run *augmentation, page *report.Report, of sources) error {
	page.Threshold, page.Pools = run.options.Delta.Value, run.poolReturns()
	for _, o := range run.outcomes {
		page.Attempts = append(page.Attempts, report.Attempt{Steps: int(o.Steps), MaxError: float64(o.MaxError), Accepted: o.Rejected == ""})
	}
	accepted := slices.DeleteFunc(slices.Clone(run.outcomes), func(o trajectory.Outcome) bool { return o.Rejected != "" })
	if len(accepted) == 0 {
		return nil
	}
	sample := spread(accepted, sampleSize)
	drawn := spread(sample, panels)
	page.Paths = &report.Paths{ObservationDim: run.shape.ObservationDim}
	for _, o := range sample {
		low, err := of.store.Episode(o.Low.Episode)
		if err != nil {
			return err
		}
		bridge, err := of.staged.Fetch(o.Staged)
		if err != nil {
			return err
		}
		page.Returns = append(page.Returns, gains(o, low)...)
		page.Transitions.Generated = appendTransitions(page.Transitions.Generated, bridge)
		if i := slices.IndexFunc(drawn, func(d trajectory.Outcome) bool { return d.Index == o.Index }); i < 0 {
			continue
		}
		high, err := of.store.Episode(o.High.Episode)
		if err != nil {
			return err
		}
		page.Paths.Paths = append(page.Paths.Paths, path(o, low, bridge, high))
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
