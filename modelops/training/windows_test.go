package training

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/diffusion"
)

func TestEpisodesShorterThanTheHorizon(t *testing.T) {
	data := toy(6, 20) // three episodes of 21 states, three of 20
	short := toy(3, 5) // two of 6 states, one of 5
	data.Trajectories = append(data.Trajectories, short.Trajectories...)
	data.Trajectories = append(data.Trajectories, Trajectory{States: []float32{0, 0}, Actions: []float32{0, 0}, Rewards: []float32{0}})
	opts := Options{Backend: backend.Go, Steps: 1}
	details := mustTrain(t, Denoiser, toyConfig(), data, t.TempDir(), opts).Details
	want := &Windows{Episodes: 9, States: 3*21 + 3*20 + 17, Begin: 3*20 + 3*19 + 14, Padded: 6*6 + 14, Longest: 21}
	if diff := cmp.Diff(want, details.Windows); diff != "" || details.TooShort != 1 {
		t.Errorf("%d episodes too short, want 1; windows (-want +got):\n%s", details.TooShort, diff)
	}
	details = mustTrain(t, Denoiser, toyConfig(), short, t.TempDir(), opts).Details
	if details.HeldOutLoss == 0 || details.Windows.Longest != 6 {
		t.Errorf("of episodes that are all shorter than the horizon of 8: %+v", details)
	}
	_, err := Train(context.Background(), Denoiser, toyConfig(), &Data{ObservationDim: 2, ActionDim: 2, Trajectories: data.Trajectories[9:]}, t.TempDir(), opts)
	if err == nil || !strings.Contains(err.Error(), "windows of two states or more: 0 of 1 episodes can be used") {
		t.Errorf("got %v", err)
	}
}

// TestEveryStateBeginsAWindow: windows begin at all states that another follows, and what
// a window has past the end is marked and empty.
func TestEveryStateBeginsAWindow(t *testing.T) {
	data := toy(4, 10)
	j, err := newJob(Denoiser, toyConfig(), data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	objective := j.objective.(*denoising)
	for _, e := range slices.Concat(j.examples.train, j.examples.heldOut) {
		inputs := make([][]float32, 4)
		for i, dims := range objective.dims(1) {
			size := 1
			for _, n := range dims {
				size *= n
			}
			inputs[i] = make([]float32, size)
		}
		objective.draw(stream(1, Denoiser, examplesStream, 0), []example{e}, inputs)
		left := min(8, data.states(data.Trajectories[e.episode])-int(e.step))
		for i, m := range inputs[inMask] {
			blank := inputs[inStates][2*i] == 0 && inputs[inStates][2*i+1] == 0
			if past := i >= left; past != (m == diffusion.Past) || past != blank {
				t.Fatalf("episode %d from step %d: position %d has mask %v, blank %v", e.episode, e.step, i, m, blank)
			}
		}
	}
	if got, want := len(j.examples.train)+len(j.examples.heldOut), 2*10+2*9; got != want {
		t.Errorf("%d windows, want %d: one for each state but the last of an episode", got, want)
	}
}
