package training

import (
	"context"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/google/go-cmp/cmp"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/random"
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
	inputs := drawWindows(t, j.objective.(*denoising))
	for i, e := range j.examples.all() {
		mask, states := inputs[inMask][8*i:8*(i+1)], inputs[inStates][16*i:16*(i+1)]
		left := min(8, data.states(data.Trajectories[e.episode])-int(e.step))
		for i, m := range mask {
			blank := states[2*i] == 0 && states[2*i+1] == 0
			if past := i >= left; past != (m == diffusion.Past) || past != blank {
				t.Fatalf("episode %d from step %d: position %d has mask %v, blank %v", e.episode, e.step, i, m, blank)
			}
		}
	}
	if got, want := len(j.examples.train)+len(j.examples.heldOut), 2*10+2*9; got != want {
		t.Errorf("%d windows, want %d: one for each state but the last of an episode", got, want)
	}
}

// drawWindows draws the inputs of the windows of all examples, in order.
func drawWindows(t *testing.T, d *denoising) [][]float32 {
	t.Helper()
	engine := backendtest.Open(t, backend.Go)
	exec := graph.MustNewExec(engine, func(state, states, begin *graph.Node) []*graph.Node {
		inputs := d.windows(random.NewDraws(state), states, begin)
		for i, input := range inputs {
			inputs[i] = graph.ConvertDType(input, dtypes.Float32)
		}
		return inputs
	})
	state := random.State(stream(1, Denoiser, examplesStream, 0))
	tables := d.tables()
	var inputs [][]float32
	for _, result := range exec.MustCall(tensors.FromFlatDataAndDimensions(state, len(state)), tables[0], tables[1]) {
		inputs = append(inputs, tensors.MustCopyFlatData[float32](result))
	}
	return inputs
}
