package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"diffstitch/io/snapshot"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// shownRejects is how many rejects the page lists.
const shownRejects = 50

// funnelSection shows what each stage let through, and why the rest was dropped.
func funnelSection(r Report) (section, error) {
	if len(r.Stages) == 0 {
		return section{}, nil
	}
	s := section{Title: "Stages", Text: "What came into each stage, what went on, and why the rest was dropped."}
	for _, stage := range r.Stages {
		b := bar{
			Label: stage.Stage,
			Unit:  stage.Unit,
			Value: whole(stage.Out),
			Share: share(float64(stage.Out), float64(stage.In)),
		}
		if stage.In != stage.Out {
			b.Value = fmt.Sprintf("%s of %s", whole(stage.Out), whole(stage.In))
		}
		for reason, n := range stage.Dropped {
			b.Details = append(b.Details, Fact{reason, whole(n)})
		}
		slices.SortFunc(b.Details, func(x, y Fact) int { // the commonest reason first
			return cmp.Or(cmp.Compare(stage.Dropped[y.Name], stage.Dropped[x.Name]), cmp.Compare(x.Name, y.Name))
		})
		if stage.Repeated > 0 {
			b.Details = append(b.Details, Fact{"repeated to hold the ratio", whole(stage.Repeated)})
		}
		s.Bars = append(s.Bars, b)
	}
	return s, nil
}

// share is in percent, at most 100: a stage can make more than it takes in.
func share(part, of float64) float64 {
	if of <= 0 {
		return 0
	}
	return math.Round(1000*min(1, part/of)) / 10
}

func timeSection(r Report) (section, error) {
	if len(r.Durations) == 0 {
		return section{}, nil
	}
	total, longest := 0.0, 0.0
	for _, d := range r.Durations {
		total, longest = total+d.Seconds, max(longest, d.Seconds)
	}
	s := section{Title: "Time by stage"}
	for _, d := range r.Durations {
		b := bar{
			Label: d.Stage, Value: clock(d.Seconds), Share: share(d.Seconds, longest),
			Details: []Fact{{"of the sum", number(share(d.Seconds, total)) + " %"}},
		}
		if slices.Contains(modelStages, d.Stage) {
			b.Details = append(b.Details, stitchingTimes(r.Metrics, d.Seconds)...)
		}
		if len(b.Details) > 1 {
			s.Text = "On the clock of the run. What the method spent in its models and its transforms is added up over workers and batches, which run beside each other. What the models leave of the clock is the engine’s and the storage’s."
		}
		s.Bars = append(s.Bars, b)
	}
	return s, nil
}

// modelStages are the stages that run models, of which a run has its method's.
var modelStages = []string{"stitch", "sample", "roll out"}

// stitchingTimes are what the models took, and each transform for all batches,
// its models included.
func stitchingTimes(m snapshot.Metrics, seconds float64) (times []Fact) {
	if models := modelSeconds(m); models > 0 {
		times = append(times, Fact{"in the models", fmt.Sprintf("%s (%s %%)", clock(models), number(100*models/seconds))})
	}
	for _, d := range m.Distributions {
		if d.Name == "batch_milliseconds" {
			times = append(times, Fact{d.Namespace, clock(1e-3 * float64(d.Sum))})
		}
	}
	return times
}

// clock writes 75.2 seconds as 1m15s, and 1.234 as 1.23 s.
func clock(seconds float64) string {
	if seconds < 60 {
		return number(seconds) + " s"
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

func lossSection(r Report) (section, error) {
	if len(r.Losses) == 0 {
		return section{}, nil
	}
	s := section{
		Title:  "Training",
		Text:   "The loss of each model by training step, on the data it learns from and on held-out episodes.",
		Legend: []key{keyOf(blue, "line", "training"), keyOf(orange, "line", "held out")},
	}
	for _, l := range r.Losses {
		train, heldOut := positiveLosses(l.Train), positiveLosses(l.HeldOut)
		if len(train)+len(heldOut) == 0 {
			continue
		}
		p := newPlot("training step", "loss")
		setLog(&p.Y)
		addCurve(p, train, blue)
		addCurve(p, heldOut, orange)
		widenLog(&p.Y)
		if err := s.add(figure{Title: l.Model, Note: lastLoss(heldOut)}, p, half); err != nil {
			return s, err
		}
	}
	return s, nil
}

// heldOutSection tells what the dynamics model is worth, by which δ is chosen.
func heldOutSection(r Report) (section, error) {
	if len(r.HeldOut) == 0 {
		return section{}, nil
	}
	s := section{
		Title: "Held-out error of the dynamics model",
		Text: "How far the predicted next state lies from the recorded one on episodes that no net learned from, " +
			"in the units of the observations and, after the slash, in their standard deviations.",
		Table: &table{Head: []string{"Error", "Median", "90 %", "99 %", "Largest"}},
	}
	for _, e := range r.HeldOut {
		both := func(raw, spreads float64) cell { return cell{number(raw) + " / " + number(spreads), "number"} }
		s.Table.Rows = append(s.Table.Rows, []cell{
			{Text: e.Of}, both(e.Raw.Median, e.Spreads.Median), both(e.Raw.P90, e.Spreads.P90), both(e.Raw.P99, e.Spreads.P99), both(e.Raw.Max, e.Spreads.Max),
		})
	}
	return s, nil
}

func addCurve(p *plot.Plot, points plotter.XYs, t tone) {
	if len(points) > 0 {
		p.Add(line(Thin(points, 400), t))
	}
}

func positiveLosses(points []LossPoint) plotter.XYs {
	var kept plotter.XYs
	for _, p := range points {
		if isFinite(p.Value) && p.Value > 0 {
			kept = append(kept, plotter.XY{X: float64(p.Step), Y: p.Value})
		}
	}
	return kept
}

func lastLoss(heldOut plotter.XYs) string {
	if len(heldOut) == 0 {
		return ""
	}
	return "held out at the end: " + number(heldOut[len(heldOut)-1].Y)
}

// widenLog keeps a flat curve off the frame, and a tick on the axis.
func widenLog(axis *plot.Axis) {
	axis.Min, axis.Max = axis.Min/1.1, axis.Max*1.1
	if axis.Max/axis.Min < 4 {
		axis.Min, axis.Max = axis.Min/1.5, axis.Max*1.5
	}
}

func rejectsSection(r Report) (section, error) {
	if len(r.Rejects) == 0 {
		return section{}, nil
	}
	s := section{Title: "Rejected input", Table: &table{Head: []string{"Where", "Reason"}}}
	for _, reject := range r.Rejects[:min(shownRejects, len(r.Rejects))] {
		s.Table.Rows = append(s.Table.Rows, []cell{{Text: reject.Where, Class: "code"}, {Text: reject.Reason}})
	}
	if n := len(r.Rejects); n > shownRejects {
		s.Text = fmt.Sprintf("The first %d of %s; all of them are in the snapshot's rejects folder.", shownRejects, whole(int64(n)))
	}
	return s, nil
}

// configurationSection lists the run's whole configuration, one leaf per row.
func configurationSection(r Report) (section, error) {
	if len(r.Configuration) == 0 {
		return section{}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(r.Configuration))
	decoder.UseNumber() // seeds are wider than a float64
	var configuration any
	if err := decoder.Decode(&configuration); err != nil {
		return section{}, fmt.Errorf("reading the configuration: %w", err)
	}
	s := section{Title: "Configuration", Table: &table{Head: []string{"Option", "Value"}}}
	for _, f := range flatten("", configuration) {
		s.Table.Rows = append(s.Table.Rows, []cell{{f.Name, "code"}, {f.Value, "code"}})
	}
	return s, nil
}

// flatten names each leaf by its path, in the order of names.
func flatten(prefix string, value any) []Fact {
	object, ok := value.(map[string]any)
	if !ok || len(object) == 0 {
		return []Fact{{prefix, leaf(value)}}
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	var facts []Fact
	for _, name := range names {
		facts = append(facts, flatten(strings.TrimPrefix(prefix+"."+name, "."), object[name])...)
	}
	return facts
}

// leaf writes strings without quotes, anything else as its JSON.
func leaf(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}
