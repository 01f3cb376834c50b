package inpaint

import (
	"math"
	"slices"
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"
	"diffstitch/transforms/inference"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// contexts are pairs with 0, 1, … states between s_T and s′_1.
func contexts(pairs int) trajectory.Contexts {
	walks := fixture.RandomWalks(fixture.Walks, fixture.WalksSeed)
	dim := fixture.Walks.ObservationDim
	c := trajectory.Contexts{Batch: trajectory.PairBatch{Index: 1}}
	for i := range pairs {
		c.Batch.Pairs = append(c.Batch.Pairs, trajectory.Pair{
			Index: int64(10 + i), Steps: int32(i), High: trajectory.StateRef{Episode: trajectory.Meta{Steps: 20}},
		})
		known, mask := make([]float32, fixture.Horizon*dim), make([]float32, fixture.Horizon)
		mask[0], mask[i+1] = 1, 1
		copy(known, walks[i].Observation(0))
		copy(known[(i+1)*dim:], walks[10+i].Observation(0))
		c.Known, c.Mask = append(c.Known, known...), append(c.Mask, mask...)
	}
	return c
}

func process(t *testing.T, seed uint64, c trajectory.Contexts) trajectory.BridgeBatch {
	t.Helper()
	fn := fixture.SetUp(t, &bridgeFn{Models: inference.Models{Options: fixture.Models(t)}, Seed: seed})
	out, err := fn.inpaint(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBridges(t *testing.T) {
	in := contexts(6)
	out := process(t, 3, in)
	dim := fixture.Walks.ObservationDim
	for i, b := range out.Bridges {
		if b.Pair != in.Batch.Pairs[i] || len(b.States) != (i+2)*dim {
			t.Errorf("bridge %d of pair %+v has %d values", i, b.Pair, len(b.States))
			continue
		}
		window := in.Known[i*fixture.Horizon*dim:]
		checkBits(t, window[:dim], b.States[:dim])
		checkBits(t, window[(i+1)*dim:(i+2)*dim], b.States[(i+1)*dim:])
		if !b.Finite() {
			t.Errorf("bridge %d: %v", i, b.States)
		}
	}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, fixture.NoneDead(s)(Bridges(s, fixture.Models(t), 3, beam.Create(s, in))), out)
	})
}

func checkBits(t *testing.T, want, got []float32) {
	t.Helper()
	same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
	if !slices.EqualFunc(want, got, same) {
		t.Errorf("the known state %v became %v", want, got)
	}
}

// TestBridgesDependOnTheirPairAlone: neither the batch nor its order matters to
// a bridge, and the seed does.
func TestBridgesDependOnTheirPairAlone(t *testing.T) {
	in := contexts(6)
	all := process(t, 3, in)
	const last = 5
	states, horizon := fixture.Horizon*fixture.Walks.ObservationDim, fixture.Horizon
	alone := trajectory.Contexts{
		Batch: trajectory.PairBatch{Index: 9, Pairs: in.Batch.Pairs[last:]},
		Known: in.Known[last*states:], Mask: in.Mask[last*horizon:],
	}
	if got := process(t, 3, alone).Bridges[0]; !slices.Equal(got.States, all.Bridges[last].States) {
		t.Error("a bridge depends on the batch it is in")
	}
	if got := process(t, 4, alone).Bridges[0]; slices.Equal(got.States, all.Bridges[last].States) {
		t.Error("another seed gives the same bridge")
	}
}

// TestPastTheEnd: what a high episode does not reach is padding, but for its last
// observation where it is known.
func TestPastTheEnd(t *testing.T) {
	c := contexts(3)
	for i := range c.Batch.Pairs {
		c.Batch.Pairs[i].High = trajectory.StateRef{Episode: trajectory.Meta{Steps: 5, HasFinal: i == 2}, Step: 3}
	}
	want := []float32{
		1, 1, 0, -1, -1, -1, -1, -1,
		1, 0, 1, 0, -1, -1, -1, -1,
		1, 0, 0, 1, 0, 0, -1, -1,
	}
	before := slices.Clone(c.Mask)
	if got := pastTheEnd(c, fixture.Horizon); !slices.Equal(got, want) {
		t.Errorf("mask %v, want %v", got, want)
	}
	if !slices.Equal(c.Mask, before) {
		t.Error("the element was changed")
	}
}

func TestBridgesRefuse(t *testing.T) {
	fn := fixture.SetUp(t, &bridgeFn{Models: inference.Models{Options: fixture.Models(t)}})
	short := contexts(2)
	short.Known = short.Known[1:]
	if _, err := fn.inpaint(t.Context(), short); err == nil {
		t.Error("a context without one of its values went well")
	}
}
