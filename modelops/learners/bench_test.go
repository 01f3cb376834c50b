package learners

import (
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
)

// benchData is random transitions of Hopper's dimensions in episodes of 100.
func benchData(n int) *Data {
	rng := rand.New(rand.NewPCG(1, 2))
	d := &Data{ObservationDim: 11, ActionDim: 3, Terminals: make([]bool, n), Augmented: make([]bool, n)}
	normal := func(count int) []float32 {
		values := make([]float32, count)
		for i := range values {
			values[i] = float32(rng.NormFloat64())
		}
		return values
	}
	d.Observations, d.Next, d.Rewards = normal(11*n), normal(11*n), normal(n)
	d.Actions = normal(3 * n)
	for i := range d.Actions {
		d.Actions[i] = min(max(d.Actions[i], -1), 1)
	}
	for row := 0; row < n; row += 100 {
		d.Starts = append(d.Starts, row)
	}
	return d
}

// BenchmarkUpdates measures updates of CORL's defaults, compilation left out.
func BenchmarkUpdates(b *testing.B) {
	for _, learner := range Learners {
		for _, name := range []string{backend.Go, backend.XLA} {
			for _, seeds := range []int{1, 3} {
				b.Run(string(learner)+"/"+name+"/seeds_"+strconv.Itoa(seeds), func(b *testing.B) {
					benchmarkUpdates(b, learner, name, seeds)
				})
			}
		}
	}
}

// cpuSeconds is what the process has used.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func benchmarkUpdates(b *testing.B, learner Learner, backendName string, seeds int) {
	engine := backendtest.Open(b, backendName)
	cfg, err := Preset(learner, "")
	if err != nil {
		b.Fatal(err)
	}
	cfg.Seeds = nil
	for i := range seeds {
		cfg.Seeds = append(cfg.Seeds, uint64(i))
	}
	data := benchData(100_000)
	s, err := data.scaling(cfg)
	if err != nil {
		b.Fatal(err)
	}
	l, err := newLoop(engine, cfg, data, s)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Finalize()
	updates := 20 // in one call on XLA, about as many as in a training's
	if learner == DT && backendName == backend.Go {
		updates = 2
	}
	if _, err := l.run(0, 2); err != nil { // compiles
		b.Fatal(err)
	}
	b.ResetTimer()
	before := cpuSeconds()
	for b.Loop() {
		if _, err := l.run(0, updates); err != nil {
			b.Fatal(err)
		}
	}
	perSecond := float64(updates*b.N) / b.Elapsed().Seconds()
	b.ReportMetric(perSecond, "updates/s")
	b.ReportMetric((cpuSeconds()-before)*1000/float64(updates*b.N*seeds), "cpu-ms/seed-update")
	b.ReportMetric(perSecond*float64(seeds), "seed-updates/s")
}
