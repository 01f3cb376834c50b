package execution

import (
	"errors"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/checkpoint"
)

func someWeights() []checkpoint.Tensor {
	return []checkpoint.Tensor{
		{Name: "output/bias", Shape: []int{2}, Data: []float32{1, 2}},
		{Name: "output/weights", Shape: []int{1, 2}, Data: []float32{3, 4}},
	}
}

func TestSnapshotOfAStore(t *testing.T) {
	store, err := NewStore(someWeights())
	if err != nil {
		t.Fatal(err)
	}
	if err := Complete(store); err != nil {
		t.Error(err)
	}
	got, err := Snapshot(store, "/"+WeightsScope+"/")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(someWeights(), got); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
}

func TestRestore(t *testing.T) {
	tests := []struct {
		name   string
		change func([]checkpoint.Tensor) []checkpoint.Tensor
		want   string
	}{
		{"the same variables", func(l []checkpoint.Tensor) []checkpoint.Tensor { return l }, ""},
		{"one too few", func(l []checkpoint.Tensor) []checkpoint.Tensor { return l[1:] }, "lack"},
		{"another shape", func(l []checkpoint.Tensor) []checkpoint.Tensor {
			l[0].Shape = []int{2, 1}
			return l
		}, "has shape [2 1]"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			store, err := NewStore(someWeights())
			if err != nil {
				t.Fatal(err)
			}
			saved, err := Snapshot(store, "/")
			if err != nil {
				t.Fatal(err)
			}
			saved[1].Data[0] = 7
			err = Restore(store, tc.change(saved))
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want an error with %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			value := store.GetVariable("/" + WeightsScope + "/output/weights").MustValue()
			if got := tensors.MustCopyFlatData[float32](value); got[0] != 7 {
				t.Errorf("restored %v", got)
			}
		})
	}
}

func TestCatch(t *testing.T) {
	cause := errors.New("shapes differ")
	if err := Catch(func() error { panic(cause) }); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if err := Catch(func() error { panic("shapes differ") }); err == nil || !strings.Contains(err.Error(), "shapes differ") {
		t.Errorf("got %v", err)
	}
}

// TestOutOfMemory asks for more than any machine can address.
func TestOutOfMemory(t *testing.T) {
	engine := backendtest.Open(t, backend.XLA)
	exec, err := model.NewExec(engine, model.NewStore(), func(_ *model.Scope, x *Node) *Node {
		return BroadcastToDims(x, 1<<46)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Call(engine, exec, tensors.FromScalar(float32(1)))
	if !errors.Is(err, ErrOutOfMemory) || !errors.Is(err, ErrEngine) {
		t.Errorf("256 TiB: %v", err)
	}
}

func TestOtherFailuresOfAnEngine(t *testing.T) {
	engine := backendtest.Open(t, backend.Go)
	exec, err := model.NewExec(engine, model.NewStore(), func(_ *model.Scope, x *Node) *Node {
		return Add(x, Const(x.Graph(), []float32{1, 2, 3}))
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Call(engine, exec, tensors.FromValue([]float32{1, 2}))
	if !errors.Is(err, ErrEngine) || errors.Is(err, ErrOutOfMemory) {
		t.Errorf("two values and three: %v", err)
	}
}
