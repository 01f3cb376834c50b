package learners

import (
	"math"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"diffstitch/modelops/backend/backendtest"
)

// TestDropout drops out of ones, twice, for two seeds: what is kept is scaled up, a
// tenth is dropped, and whether a number is tells nothing of its neighbours, of the same
// number in the other mask, or of the other seed's.
func TestDropout(t *testing.T) {
	const rows, columns, rate = 400, 250, 0.1
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		kept := once(t, engine, func(inputs []*Node) []*Node {
			d, ones := newDropout(rate, newStreams(inputs[0])), inputs[1]
			return []*Node{d.apply(ones), d.apply(ones)}
		}, tensors.FromFlatDataAndDimensions([]uint64{1, 2, 3, 4, 5, 6}, 2, 3), ones(2, rows, columns))
		first, second := kept[0][:rows*columns], kept[1][:rows*columns]
		for _, value := range kept[0] {
			if value != 0 && value != 1/(1-float32(rate)) {
				t.Fatalf("a one became %v", value)
			}
		}
		both := func(a, b []float32) func(i int) bool {
			return func(i int) bool { return a[i] == 0 && b[i%len(b)] == 0 }
		}
		for _, tc := range []struct {
			name    string
			dropped func(i int) bool
			want    float64
		}{
			{"of the first mask", both(first, first), rate},
			{"of the second mask", both(second, second), rate},
			{"next to one", both(first, first[1:]), rate * rate},
			{"below one", both(first, first[columns:]), rate * rate},
			{"in both masks", both(first, second), rate * rate},
			{"in both seeds", both(first, kept[0][rows*columns:]), rate * rate},
		} {
			count := 0
			for i := range first {
				if tc.dropped(i) {
					count++
				}
			}
			share, spread := float64(count)/float64(len(first)), math.Sqrt(tc.want*(1-tc.want)/float64(len(first)))
			if math.Abs(share-tc.want) > 4*spread {
				t.Errorf("dropped %s: %.4f, want %.4f ± %.4f", tc.name, share, tc.want, 4*spread)
			}
		}
	})
}

func ones(dims ...int) *tensors.Tensor {
	t := zeros("", dims...)
	for i := range t.Data {
		t.Data[i] = 1
	}
	return tensors.FromFlatDataAndDimensions(t.Data, dims...)
}

// TestDropoutBits checks that one mask's numbers go on where the one's before ended, and
// are those of a SplitMix.
func TestDropoutBits(t *testing.T) {
	const start, gamma, first, second = 0xfffffff0, 0x9e3779b9, 5, 7
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		halves := once(t, engine, func(inputs []*Node) []*Node {
			d := &dropout{start: inputs[0], gamma: inputs[1]}
			bits := Concatenate([]*Node{d.bits(first), d.bits(second)}, 1)
			half := func(x *Node) *Node { return ConvertDType(x, dtypes.Float32) } // which holds 16 bits exactly
			return []*Node{half(BitwiseShiftRightLogicalScalar(bits, 16)), half(BitwiseAnd(bits, Const(bits.Graph(), [][]uint32{{0xffff}})))}
		}, tensors.FromFlatDataAndDimensions([]uint32{start}, 1), tensors.FromFlatDataAndDimensions([]uint32{gamma}, 1))
		state := uint32(start)
		for i := range first + second {
			want := state
			want = (want ^ want>>16) * 0x85ebca6b
			want = (want ^ want>>13) * 0xc2b2ae35
			want ^= want >> 16
			if got := uint32(halves[0][i])<<16 | uint32(halves[1][i]); got != want {
				t.Errorf("number %d is %#x, want %#x", i, got, want)
			}
			state += gamma
		}
	})
}
