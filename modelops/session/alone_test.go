package session

import (
	"fmt"
	"slices"
	"testing"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
)

// TestRowsStandAlone: what becomes of a window, a plan or a transition does not depend on
// the others that go through the models with it, nor on its place among them, to the bit.
// It is what lets bridges be kept from one run to the next.
func TestRowsStandAlone(t *testing.T) {
	// The sizes of the preset, which decide how engines cut their sums.
	cfg, err := training.Preset("tiny")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, c := range []*training.RegressorConfig{&cfg.Inverse, &cfg.Reward, &cfg.Dynamics} {
		c.Steps = 2
	}
	cfg.Denoiser.Steps = 2
	for _, kind := range []training.Kind{training.Denoiser, training.InverseDynamics, training.Reward, training.Dynamics} {
		if _, err := training.Train(t.Context(), kind, cfg, walk(), dir, training.Options{Backend: backend.Go}); err != nil {
			t.Fatal(err)
		}
	}
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		s := mustOpen(t, Options{Dir: dir, Backend: name, Batch: 64, Refine: true, Sampler: diffusion.Sampler{Kind: diffusion.DDIM, Steps: 3}})
		n := 64
		h := s.Info().Horizon
		known, mask, seeds := make([]float32, n*h*2), make([]float32, n*h), make([]uint64, n)
		for i := range n {
			seeds[i] = uint64(i) + 100
			for step := range h {
				if step == 0 || step >= 9 {
					mask[i*h+step] = 1
					known[(i*h+step)*2], known[(i*h+step)*2+1] = 5+float32(i)/64, float32(step)/float32(h)
				}
			}
		}
		all, err := s.Sample(known, mask, seeds)
		if err != nil {
			t.Fatal(err)
		}
		var list [][]float32
		for i := range n {
			list = append(list, all[i*h*2:(i*h+10)*2])
		}
		refined, err := s.Refine(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, some := range [][]int{{5}, {63, 0}, {1, 2, 3, 40, 41, 7, 62}, {33, 5, 11}} {
			var k, m []float32
			var sd []uint64
			var pl [][]float32
			for _, i := range some {
				k, m, sd = append(k, known[i*h*2:(i+1)*h*2]...), append(m, mask[i*h:(i+1)*h]...), append(sd, seeds[i])
				pl = append(pl, list[i])
			}
			got, err := s.Sample(k, m, sd)
			if err != nil {
				t.Fatal(err)
			}
			for at, i := range some {
				if !slices.Equal(got[at*h*2:(at+1)*h*2], all[i*h*2:(i+1)*h*2]) {
					t.Errorf("window %d in place %d of %d differs", i, at, len(some))
				}
			}
			r, err := s.Refine(pl)
			if err != nil {
				t.Fatal(err)
			}
			for at, i := range some {
				a, b := r[at], refined[i]
				if fmt.Sprint(a) != fmt.Sprint(b) {
					t.Errorf("plan %d in place %d of %d differs", i, at, len(some))
				}
				next, _, _ := s.Dynamics(a.States[:len(a.States)-2], a.Actions)
				var all, acts []float32
				for _, x := range refined {
					all, acts = append(all, x.States[:len(x.States)-2]...), append(acts, x.Actions...)
				}
				whole, _, _ := s.Dynamics(all, acts)
				off := 0
				for j := range i {
					off += len(refined[j].Actions)
				}
				if !slices.Equal(next, whole[off:off+len(next)]) {
					t.Errorf("dynamics of %d differ", i)
				}
			}
		}
	})
}
