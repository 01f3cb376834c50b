// Package observe shows a run to whoever waits for it: the metrics of its
// pipelines while they run, on any runner, as progress and for Prometheus, and
// its logs.
package observe

import (
	"cmp"
	"maps"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
)

// Name is a metric's name, in the namespace of the package that counts it.
type Name struct{ Namespace, Name string }

// Compare orders names by namespace.
func (n Name) Compare(other Name) int {
	return cmp.Or(cmp.Compare(n.Namespace, other.Namespace), cmp.Compare(n.Name, other.Name))
}

// Distribution sums up the values a metric took.
type Distribution struct{ Count, Sum, Min, Max int64 }

// plus is the distribution of the values of both.
func (d Distribution) plus(other Distribution) Distribution {
	switch {
	case d.Count == 0:
		return other
	case other.Count == 0:
		return d
	}
	return Distribution{d.Count + other.Count, d.Sum + other.Sum, min(d.Min, other.Min), max(d.Max, other.Max)}
}

// Gauge is the last value a metric took.
type Gauge struct {
	Value int64
	At    time.Time
}

// Metrics are those of one pipeline or more, each summed over the transforms
// and bundles that report it.
type Metrics struct {
	Counters      map[Name]int64
	Distributions map[Name]Distribution
	Gauges        map[Name]Gauge
}

// NewMetrics has no metric yet.
func NewMetrics() Metrics {
	return Metrics{map[Name]int64{}, map[Name]Distribution{}, map[Name]Gauge{}}
}

// Clone is a copy that may be changed.
func (m Metrics) Clone() Metrics {
	return Metrics{maps.Clone(m.Counters), maps.Clone(m.Distributions), maps.Clone(m.Gauges)}
}

// Add adds the metrics of another pipeline.
func (m Metrics) Add(other Metrics) {
	for name, v := range other.Counters {
		m.Counters[name] += v
	}
	for name, d := range other.Distributions {
		m.Distributions[name] = m.Distributions[name].plus(d)
	}
	for name, g := range other.Gauges {
		m.addGauge(name, g)
	}
}

func (m Metrics) addGauge(name Name, g Gauge) {
	if last, known := m.Gauges[name]; !known || g.At.After(last.At) {
		m.Gauges[name] = g
	}
}

// raise takes over what another sight of the same pipeline saw more of.
func (m Metrics) raise(other Metrics) {
	for name, v := range other.Counters {
		m.Counters[name] = max(m.Counters[name], v)
	}
	for name, d := range other.Distributions {
		if d.Count > m.Distributions[name].Count {
			m.Distributions[name] = d
		}
	}
	for name, g := range other.Gauges {
		m.addGauge(name, g)
	}
}

// Final are a finished pipeline's metrics.
func Final(results metrics.QueryResults) Metrics {
	m := NewMetrics()
	for _, c := range results.Counters() {
		m.Counters[Name{c.Namespace(), c.Name()}] += c.Result()
	}
	for _, d := range results.Distributions() {
		m.addDistribution(Name{d.Namespace(), d.Name()}, d.Result())
	}
	for _, g := range results.Gauges() {
		m.addGauge(Name{g.Namespace(), g.Name()}, Gauge{g.Result().Value, g.Result().Timestamp})
	}
	return m
}

func (m Metrics) addDistribution(name Name, v metrics.DistributionValue) {
	m.Distributions[name] = m.Distributions[name].plus(Distribution{v.Count, v.Sum, v.Min, v.Max})
}

// soFar are a running pipeline's metrics. A runner's attempted values may be of
// its bundles under way alone, as prism's are, or of all it began, as Flink's.
func soFar(results metrics.QueryResults) Metrics {
	attempted, committed := NewMetrics(), NewMetrics()
	for _, c := range results.Counters() {
		name := Name{c.Namespace(), c.Name()}
		attempted.Counters[name] += c.Attempted
		committed.Counters[name] += c.Committed
	}
	for _, d := range results.Distributions() {
		name := Name{d.Namespace(), d.Name()}
		attempted.addDistribution(name, d.Attempted)
		committed.addDistribution(name, d.Committed)
	}
	for _, g := range results.Gauges() {
		name := Name{g.Namespace(), g.Name()}
		committed.addGauge(name, Gauge{g.Committed.Value, g.Committed.Timestamp})
		committed.addGauge(name, Gauge{g.Attempted.Value, g.Attempted.Timestamp})
	}
	committed.raise(attempted)
	return committed
}

// inStore are the metrics of one bundle in this process.
func inStore(store *metrics.Store) (Metrics, error) {
	m := NewMetrics()
	name := func(l metrics.Labels) Name { return Name{l.Namespace(), l.Name()} }
	err := metrics.Extractor{
		SumInt64: func(l metrics.Labels, v int64) { m.Counters[name(l)] += v },
		DistributionInt64: func(l metrics.Labels, count, sum, least, most int64) {
			m.addDistribution(name(l), metrics.DistributionValue{Count: count, Sum: sum, Min: least, Max: most})
		},
		GaugeInt64: func(l metrics.Labels, v int64, at time.Time) { m.addGauge(name(l), Gauge{v, at}) },
	}.ExtractFrom(store)
	return m, err
}
