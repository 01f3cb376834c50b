package method

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment/sample"
)

// rejectedStitch is a line of rejects/stitches.jsonl. JSON has no NaN or Inf:
// numbers that are not finite are null.
type rejectedStitch struct {
	Index         int64    `json:"index"`
	LowEpisodeID  int64    `json:"low_episode_id"`
	LowStep       int32    `json:"low_step"`
	HighEpisodeID int64    `json:"high_episode_id"`
	HighStep      int32    `json:"high_step"`
	Steps         int32    `json:"steps"`
	Similarity    *float32 `json:"similarity"`
	MaxError      *float32 `json:"max_qualification_error"`
	// Disagreement is left out where the dynamics model is one net.
	Disagreement *float32 `json:"max_ensemble_disagreement,omitempty"`
	Reason       string   `json:"reason"`
}

func rejection(o trajectory.Outcome, ensemble bool) rejectedStitch {
	r := rejectedStitch{
		Index: o.Index, LowEpisodeID: o.Low.Episode.ID, LowStep: o.Low.Step,
		HighEpisodeID: o.High.Episode.ID, HighStep: o.High.Step,
		Steps: o.Steps, Similarity: finite(o.Similarity), MaxError: finite(o.MaxError), Reason: o.Rejected,
	}
	if ensemble {
		r.Disagreement = finite(o.MaxDisagreement)
	}
	return r
}

// finite is nil for NaN and ±Inf.
func finite(v float32) *float32 {
	if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
		return nil
	}
	return &v
}

func (stitching) Rejects(w *Work) (file string, lines iter.Seq[any]) {
	return "stitches.jsonl", func(yield func(any) bool) {
		for _, o := range w.Outcomes {
			if o.Rejected != "" && !yield(rejection(o, w.Models.DynamicsNets > 1)) {
				return
			}
		}
	}
}

func (stitching) Summary(w *Work) []report.Fact {
	words := w.Settings.Words()
	return []report.Fact{
		{Name: "backend", Value: w.Engine},
		{Name: "denoiser learned from", Value: w.Models.Models[training.Denoiser].Details.LearnedFrom()},
		{Name: "conditioning", Value: w.Models.Conditioning},
		{Name: "sampler", Value: words.Sampler},
		{Name: "pairing", Value: words.Pairing},
		{Name: "similarity", Value: words.Similarity},
		{Name: "Δ", Value: words.Steps},
		{Name: "refinement", Value: refinementWords(w)},
		{Name: "δ", Value: words.Delta},
		{Name: "mix", Value: w.Mix.Ratio.String() + ", " + w.Mix.Emit},
		{Name: "seed", Value: fmt.Sprint(w.Seed)},
	}
}

// refinementWords say which nets refined, and which judged.
func refinementWords(w *Work) string {
	switch {
	case w.Settings.Refine != RefineOn:
		return w.Settings.Refine
	case w.Models.Refiners == 0:
		return "on, by the nets that judge, too: what they take for true may be their mistakes"
	}
	return fmt.Sprintf("on, by %d nets; %d others judge", w.Models.Refiners, w.Models.DynamicsNets)
}

// heldOut is what the dynamics model is off by on held-out data, where it says so.
func heldOut(of training.Details) (errors []report.Error) {
	for _, e := range []struct {
		of     string
		errors *training.ErrorQuantiles
	}{
		{"a transition, by the nets that judge", of.HeldOutError},
		{"a transition, by the nets that refine", of.RefinerError},
		{"an episode's mean", of.EpisodeError},
		{fmt.Sprintf("the worst of %d steps", training.StretchSteps), of.StretchError},
		{"for comparison: what another transition's action changes", of.ActionEffect},
	} {
		if e.errors != nil {
			errors = append(errors, report.Error{Of: e.of, Raw: quantiles(e.errors.Quantile), Spreads: quantiles(e.errors.QuantileNormalized)})
		}
	}
	return errors
}

func quantiles(at func(float64) float64) report.Quantiles {
	return report.Quantiles{Median: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}
}

// panels is how many stitched trajectories are drawn.
const panels = 6

// Picture tells of every attempt, and draws a sample of the accepted stitches.
func (stitching) Picture(w *Work, page *report.Report, of Sources) error {
	if notice := w.Models.Models[training.Denoiser].Details.Statistics.Notice(); notice != "" {
		page.Notices = append(page.Notices, notice)
	}
	page.HeldOut = heldOut(w.Models.Models[training.Dynamics].Details)
	if page.Pools = poolReturns(w); !w.Settings.Delta.Normalised { // the errors drawn are in the units of the observations
		page.Threshold = w.Settings.Delta.Value
	}
	for _, o := range w.Outcomes {
		page.Attempts = append(page.Attempts, report.Attempt{Steps: int(o.Steps), MaxError: float64(o.MaxError), Accepted: o.Rejected == ""})
	}
	accepted := w.Stitches()
	if len(accepted) == 0 {
		return nil
	}
	shown := report.Thin(accepted, sample.Size)
	drawn := report.Thin(shown, panels)
	page.Paths = &report.Paths{ObservationDim: w.Shape.ObservationDim}
	for _, o := range shown {
		low, err := of.Store.Episode(o.Low.Episode)
		if err != nil {
			return err
		}
		bridges, err := of.Staged.Bridges(o)
		if err != nil {
			return err
		}
		page.Returns = append(page.Returns, gains(o, low)...)
		for _, bridge := range bridges {
			page.Transitions.Generated = sample.AppendTransitions(page.Transitions.Generated, bridge)
		}
		if !slices.ContainsFunc(drawn, func(d trajectory.Outcome) bool { return d.Index == o.Index }) {
			continue
		}
		drawn, err := path(o, bridges, of)
		if err != nil {
			return err
		}
		page.Paths.Paths = append(page.Paths.Paths, drawn)
	}
	return nil
}

// gains are the returns-to-go of the low episode's states before s_T, as it was
// and as it is stitched (Figure 4 of the paper).
func gains(o trajectory.Outcome, low *trajectory.Episode) []report.Return {
	gain := o.Gain()
	var returns []report.Return
	for _, before := range returnToGo(low)[:o.Low.Step] {
		returns = append(returns, report.Return{Before: before, After: before + gain})
	}
	return returns
}

// returnToGo is the sum of rewards from each step on, [T].
func returnToGo(e *trajectory.Episode) []float64 {
	sums := make([]float64, e.Len())
	sum := 0.0
	for i := e.Len() - 1; i >= 0; i-- {
		sum += float64(e.Rewards[i])
		sums[i] = sum
	}
	return sums
}

// path is a stitched episode as it is drawn.
func path(o trajectory.Outcome, bridges []*trajectory.Episode, of Sources) (p report.Path, err error) {
	stretches, err := of.Store.Stretches(o)
	if err != nil {
		return p, err
	}
	stitched, err := trajectory.Join(o.Index, stretches, bridges)
	if err != nil {
		return p, err
	}
	p.States, p.Caption = stitched.Observations, fmt.Sprintf("Δ %d, ", o.Steps)
	if n := len(bridges); n > 1 {
		p.Caption = fmt.Sprintf("%d bridges, ", n)
	}
	p.Caption += fmt.Sprintf("return %.3g → %.3g", o.LowReturn+o.LowRest, o.Return())
	for _, b := range stitched.Provenance.Bridges {
		p.Bridges = append(p.Bridges, report.Span(b))
	}
	return p, nil
}

func poolReturns(w *Work) *report.Pools {
	pools := &report.Pools{}
	low, high := w.Pools.Low, w.Pools.High // in the order of Metas
	for i := range w.Metas {
		switch m := &w.Metas[i]; {
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
