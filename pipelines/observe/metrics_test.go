package observe

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/google/go-cmp/cmp"
)

var (
	steps   = Name{"training.reward", "optimizer_steps"}
	latency = Name{"inpaint", "batch_milliseconds"}
)

func key(step string, name Name) metrics.StepKey {
	return metrics.StepKey{Step: step, Namespace: name.Namespace, Name: name.Name}
}

func results() metrics.QueryResults {
	counters := metrics.MergeCounters(
		map[metrics.StepKey]int64{key("e1", steps): 7, key("e2", steps): 30},
		map[metrics.StepKey]int64{key("e1", steps): 40})
	distributions := metrics.MergeDistributions(
		map[metrics.StepKey]metrics.DistributionValue{key("e1", latency): {Count: 1, Sum: 9, Min: 9, Max: 9}},
		map[metrics.StepKey]metrics.DistributionValue{key("e1", latency): {Count: 2, Sum: 5, Min: 2, Max: 3}, key("e2", latency): {Count: 1, Sum: 8, Min: 8, Max: 8}})
	return metrics.NewResults(counters, distributions, nil, nil, nil).AllMetrics()
}

func TestFinal(t *testing.T) {
	got := Final(results())
	want := Metrics{
		Counters:      map[Name]int64{steps: 70}, // committed, and attempted where nothing is
		Distributions: map[Name]Distribution{latency: {Count: 3, Sum: 13, Min: 2, Max: 8}},
		Gauges:        map[Name]Gauge{},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSoFarTakesWhatSawMore(t *testing.T) {
	got := soFar(results())
	if got.Counters[steps] != 40 || got.Distributions[latency] != (Distribution{Count: 3, Sum: 13, Min: 2, Max: 8}) {
		t.Errorf("%+v", got)
	}
}

func TestRaiseNeverFalls(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	seen := NewMetrics()
	seen.Counters[steps] = 10
	seen.Gauges[steps] = Gauge{5, late}
	seen.raise(Metrics{
		Counters:      map[Name]int64{steps: 3},
		Distributions: map[Name]Distribution{latency: {Count: 1, Sum: 4, Min: 4, Max: 4}},
		Gauges:        map[Name]Gauge{steps: {9, early}},
	})
	want := Metrics{
		Counters:      map[Name]int64{steps: 10},
		Distributions: map[Name]Distribution{latency: {Count: 1, Sum: 4, Min: 4, Max: 4}},
		Gauges:        map[Name]Gauge{steps: {5, late}},
	}
	if d := cmp.Diff(want, seen); d != "" {
		t.Error(d)
	}
}

func TestMeter(t *testing.T) {
	now := time.Unix(100, 0)
	m := Meter{Now: func() time.Time { return now }}
	if rate := m.Rate("reward", 50); rate != 0 {
		t.Errorf("%v a second at first sight", rate)
	}
	now = now.Add(4 * time.Second)
	if rate := m.Rate("reward", 70); rate != 5 {
		t.Errorf("%v a second, want 5: what was done before does not count", rate)
	}
	if rate := m.Rate("dynamics", 9); rate != 0 {
		t.Errorf("%v a second at first sight", rate)
	}
}
