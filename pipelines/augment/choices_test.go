package augment_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/train"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/pair"

	"github.com/google/go-cmp/cmp"
)

// Dimensions that goals adds to the four of the maze.
const (
	constantDim = 4
	goalDim     = 5
)

// goals are episodes of the maze with a dimension that is always 1 and one of two goals
// in the observation; three of four are cut to ten steps, less than the horizon.
func goals() []*trajectory.Episode {
	episodes := fixture.Maze(40, 5)
	for i, e := range episodes {
		states, final := e.Observations, e.FinalObservation
		goal := float32(3 + 4*(i%2))
		e.ObservationDim, e.Observations = 6, nil
		for step := range e.Len() {
			e.Observations = append(append(e.Observations, states[4*step:4*step+4]...), 1, goal)
		}
		e.FinalObservation = append(append([]float32(nil), final...), 1, goal)
		if i%4 != 3 {
			e.Observations, e.Actions, e.Rewards = e.Observations[:6*10], e.Actions[:e.ActionDim*10], e.Rewards[:10]
			e.End, e.FinalObservation = trajectory.Timeout, nil
			e.Rewards[0] = float32(i) // so that some are high
		}
	}
	return episodes
}

// TestGoalsAndConstants: no generated state strays from what is constant, a bridge has
// the high episode's goal, and a step to another goal is as far from what the dynamics
// predict as the goals are apart. The last rows of short episodes begin bridges, too.
func TestGoalsAndConstants(t *testing.T) {
	data := write(t, goals()...)
	models := filepath.Join(t.TempDir(), "models")
	trained, err := train.Run(t.Context(), training(data, models), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{goalDim}, trained.EpisodeConstant); d != "" || trained.Windows.Episodes != 40 {
		t.Fatalf("%+v; constant in every episode (-want +got):\n%s", trained.Windows, d)
	}
	o := augmenting(t)
	o.Data.Path, o.Models, o.Pairing = data, models, pair.Uniform
	published := run(t, o)
	same, other := 0, 0
	for _, e := range fixture.Episodes(t, o.Out) {
		if e.Provenance == nil || e.Provenance.Source != trajectory.Stitched {
			continue
		}
		first, end := e.Provenance.Bridges[0].From, e.Provenance.Bridges[0].To
		want := e.Observation(end)[goalDim]
		for step := first + 1; step <= end; step++ {
			if state := e.Observation(step); state[constantDim] != 1 || state[goalDim] != want {
				t.Fatalf("step %d of a bridge to goal %v is %v", step-first, want, state)
			}
		}
		if e.Observation(first)[goalDim] == want {
			same++
			continue
		}
		other++
		if got := e.Provenance.Errors[0]; got < 4 {
			t.Errorf("the step to another goal, 4 away, has an error of %v", got)
		}
	}
	if same == 0 || other == 0 {
		t.Errorf("%d bridges to the same goal and %d to the other", same, other)
	}
	page, err := os.ReadFile(published.ReportPath())
	if err != nil || !strings.Contains(string(page), "denoiser learned from") || !strings.Contains(string(page), "as a goal does: of the states, dimension 5") {
		t.Errorf("the report says nothing of it (%v)", err)
	}
}

// TestAuthorsChoices: all that the authors' code does otherwise, together, gives the same
// D* at any parallelism.
func TestAuthorsChoices(t *testing.T) {
	o := augmenting(t)
	o.MinLeft, o.RequireGain, o.AcceptTies = 20, true, true
	o.Estimate = estimate.Config{
		Similarity: estimate.Similarity{Kind: estimate.Cosine, Space: estimate.Normalised},
		Threshold:  0.5, MinSteps: 2, MaxSteps: 6, Argmax: true,
	}
	o.Sampler = diffusion.Sampler{Kind: diffusion.DDPM, Steps: 4, NoiseScale: 0.5, Variance: diffusion.VarianceBeta}
	o.Delta = method.Delta{Value: 4, Normalised: true}
	want := run(t, o)
	if got := want.Manifest.Stitched.Episodes; got == 0 || got == o.Stitches {
		t.Fatalf("%d of %d stitches were accepted: no test of what is asked of them", got, o.Stitches)
	}
	again := augmenting(t)
	again.MinLeft, again.RequireGain, again.AcceptTies = o.MinLeft, o.RequireGain, o.AcceptTies
	again.Estimate, again.Sampler, again.Delta, again.Runner = o.Estimate, o.Sampler, o.Delta, "direct"
	if d := cmp.Diff(hashes(want), hashes(run(t, again))); d != "" {
		t.Errorf("the direct runner makes another D*:\n%s", d)
	}
	again.MinLeft = 100_000
	if _, err := augment.Run(t.Context(), again, nil, nil); err == nil || !strings.Contains(err.Error(), "--min-left 100000: the longest episode of the high pool has") {
		t.Errorf("more steps left than there are: %v", err)
	}
}
