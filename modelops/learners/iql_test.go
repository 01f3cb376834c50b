package learners

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"diffstitch/modelops/backend/backendtest"
)

// TestExpectile checks where the loss over fixed numbers is least: at their mean for
// 0.5, nearer to the largest for more, and where the weighted sums on both sides of it
// are equal.
func TestExpectile(t *testing.T) {
	numbers := []float32{-1, 0, 0.5, 2, 4}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		last := math.Inf(-1)
		for _, tau := range []float64{0.1, 0.5, 0.7, 0.9} {
			candidates := make([]float32, 501) // from -1 to 4
			for i := range candidates {
				candidates[i] = -1 + float32(i)/100
			}
			losses := once(t, engine, func(inputs []*Node) []*Node {
				x := BroadcastToDims(InsertAxes(inputs[0], 0), len(candidates), len(numbers))
				v := BroadcastToDims(InsertAxes(inputs[1], 1), len(candidates), len(numbers))
				return []*Node{perSeed(expectile(Sub(x, v), tau))}
			}, tensors.FromFlatDataAndDimensions(numbers, len(numbers)), tensors.FromFlatDataAndDimensions(candidates, len(candidates)))[0]
			best := float64(candidates[slices.Index(losses, slices.Min(losses))])
			above, below := 0.0, 0.0
			for _, x := range numbers {
				above += max(float64(x)-best, 0)
				below += max(best-float64(x), 0)
			}
			if math.Abs(tau*above-(1-tau)*below) > 0.05 {
				t.Errorf("τ %v: least at %v, where the sides weigh %v and %v", tau, best, tau*above, (1-tau)*below)
			}
			if best <= last {
				t.Errorf("τ %v: least at %v, not above that of a smaller τ, %v", tau, best, last)
			}
			last = best
		}
	})
}

// TestFollow checks a target's step towards its net.
func TestFollow(t *testing.T) {
	p, target := twoLayers("net", 1, 1, 1, 1), twoLayers("target", 1, 1, 1, 1)
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		got := once(t, engine, func(inputs []*Node) []*Node {
			values := arrays{}
			for layer := range 3 {
				for _, name := range []string{p.weights(layer), p.bias(layer)} {
					values[name] = inputs[0]
				}
				for _, name := range []string{target.weights(layer), target.bias(layer)} {
					values[name] = inputs[1]
				}
			}
			follow(values, target, p, 0.25)
			return []*Node{values[target.weights(2)], values[target.bias(0)], Identity(values[p.weights(2)])}
		}, tensors.FromFlatDataAndDimensions([]float32{4}, 1, 1, 1), tensors.FromFlatDataAndDimensions([]float32{8}, 1, 1, 1))
		if got[0][0] != 7 || got[1][0] != 7 || got[2][0] != 4 {
			t.Errorf("target %v and %v, net %v; want 7, 7 and 4", got[0], got[1], got[2])
		}
	})
}

// TestActorDropout has dropout change what an update makes of the actor, and of no
// other net.
func TestActorDropout(t *testing.T) {
	q := newIQL(goldenConfig(t, IQL), replay{observationDim: 3, actionDim: 2})
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		whole := twoUpdates(t, engine, q, goldenBatches(), func(u *update, in []*Node) { q.learn(u, transitionsOf(in), nil) })
		dropped := twoUpdates(t, engine, q, goldenBatches(), func(u *update, in []*Node) {
			state := Const(in[0].Graph(), [][]uint64{{1, 2, 3}, {4, 5, 6}})
			q.learn(u, transitionsOf(in), newDropout(0.5, newStreams(state)))
		})
		actor := 0
		for name, values := range whole {
			same := slices.Equal(values, dropped[name])
			if ofActor := strings.Contains(name, "actor/"); ofActor == same {
				t.Errorf("%s is the same with dropout: %v", name, same)
			} else if ofActor {
				actor++
			}
		}
		if actor < 7 {
			t.Errorf("%d arrays of the actor are looked at, want those of its layers and its spread", actor)
		}
	})
}
