package training

import (
	"fmt"
	"testing"

	"diffstitch/modelops/backend"
)

// BenchmarkStep is the speed of optimizer steps; the graph is compiled before.
func BenchmarkStep(b *testing.B) {
	for _, name := range []string{backend.Go, backend.XLA} {
		engine, _, err := backend.Open(name)
		if err != nil {
			b.Logf("no %s backend here: %v", name, err)
			continue
		}
		for _, preset := range PresetNames[:2] {
			cfg, err := Preset(preset)
			if err != nil {
				b.Fatal(err)
			}
			data := toy(40, cfg.Denoiser.Diffusion.UNet.Horizon+20)
			for _, kind := range Kinds {
				b.Run(fmt.Sprintf("%s/%s/%s", name, preset, kind), func(b *testing.B) {
					j, err := newJob(kind, cfg, data, Options{})
					if err != nil {
						b.Fatal(err)
					}
					l, err := newLoop(engine, j, nil)
					if err != nil {
						b.Fatal(err)
					}
					defer l.Finalize()
					if err := l.turn(callSteps); err != nil {
						b.Fatal(err)
					}
					begun := l.Done()
					for b.Loop() {
						if err := l.turn(l.Done() + callSteps); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(l.Done()-begun)/b.Elapsed().Seconds(), "steps/s")
				})
			}
		}
	}
}
