package diffusion

import (
	"math"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"

	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/nets"
)

// planeConfig is a denoiser of two numbers.
func planeConfig(conditioning Conditioning) Config {
	unet := nets.UNetConfig{StateDim: 2, Horizon: 10, Channels: 8, Multipliers: []int{1, 2}, Kernel: 3, Groups: 4}
	return NewConfig(unet, Config{DenoisingSteps: 10, Conditioning: conditioning, Masks: TwoHidden})
}

// ended are examples whose first window ends after 6 states, of which 0 and 3 are known;
// the second window knows 0 and 9.
func ended(cfg Config) examples {
	e := randomExamples(cfg, 2, 3)
	copy(e.mask, []float32{1, 0, 0, 1, 0, 0, Past, Past, Past, Past})
	copy(e.mask[10:], []float32{1, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	return e
}

// TestLimits: every hidden state lies within the bounds of its dimension, and the held
// dimension is the next known state's, or the last known one's where none follows.
func TestLimits(t *testing.T) {
	for _, conditioning := range []Conditioning{ConditionZeros, ConditionInterpolated, ConditionDeviation} {
		for _, sampler := range []Sampler{{Kind: DDIM, Steps: 4}, {Kind: DDPM}} {
			backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
				s := newSampling(t, engine, planeConfig(conditioning), sampler)
				s.examples = ended(s.cfg)
				s.limits = Limits{
					First: Bounds{[]float32{-0.005, -9}, []float32{0.01, 9}},
					Last:  Bounds{[]float32{-0.01, -9}, []float32{0.02, 9}}, Held: []int{1},
				}
				states, known := s.loop(t), s.examples.states
				source := []int{0, 3, 3, 3, 3, 3, -1, -1, -1, -1, 10, 19, 19, 19, 19, 19, 19, 19, 19, 19}
				for i, m := range s.examples.mask {
					if m != 0 {
						continue
					}
					if v := states[2*i]; v < -0.0101 || v > 0.0201 {
						t.Errorf("%s, %s: position %d is %v, want within [-0.01, 0.02]", conditioning, sampler.Kind, i, v)
					}
					if got, want := states[2*i+1], known[2*source[i]+1]; math.Abs(float64(got-want)) > 1e-5 {
						t.Errorf("%s, %s: the held dimension of position %d is %v, want %v", conditioning, sampler.Kind, i, got, want)
					}
				}
			})
		}
	}
}

// TestPaddingStaysOut: whatever lies past an episode's end, even NaN, changes neither the
// loss, nor its gradient, nor what is sampled before it; and it is sampled as zeros.
func TestPaddingStaysOut(t *testing.T) {
	garbage := func(e examples) examples {
		e.states, e.noise = slices.Clone(e.states), slices.Clone(e.noise)
		for i, m := range e.mask {
			if m == Past {
				e.states[2*i], e.states[2*i+1] = float32(math.NaN()), 1e9
				e.noise[2*i], e.noise[2*i+1] = 100, -100
			}
		}
		return e
	}
	for _, conditioning := range []Conditioning{ConditionZeros, ConditionInterpolated, ConditionDeviation} {
		cfg := planeConfig(conditioning)
		backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
			var losses [2][]float32
			for i, e := range []examples{ended(cfg), garbage(ended(cfg))} {
				trainer := newTrainer(t, engine, cfg)
				for range 3 { // the second depends on the gradient of the first
					losses[i] = append(losses[i], trainer.step(t, e))
				}
			}
			if diff := cmp.Diff(losses[0], losses[1]); diff != "" {
				t.Errorf("%s: losses depend on what is past the end:\n%s", conditioning, diff)
			}
			s := newSampling(t, engine, cfg, Sampler{Kind: DDIM, Steps: 4})
			s.examples = ended(cfg)
			want := s.loop(t)
			s.examples = garbage(s.examples)
			got := s.loop(t)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: samples depend on what is past the end:\n%s", conditioning, diff)
			}
			if slices.ContainsFunc(got[12:20], func(v float32) bool { return v != 0 }) {
				t.Errorf("%s: %v was sampled past the end, want zeros", conditioning, got[12:20])
			}
		})
	}
}

// TestLossCounts: the loss of a net that predicts nothing is the mean of the squared noise
// at the positions that count, of which none is past the end.
func TestLossCounts(t *testing.T) {
	cfg := planeConfig(ConditionZeros)
	for kind, counts := range map[Counted]func(position int, m float32) bool{
		LossHidden:   func(_ int, m float32) bool { return m == 0 },
		LossAll:      func(_ int, m float32) bool { return m >= 0 },
		LossButFirst: func(position int, m float32) bool { return m >= 0 && position > 0 },
	} {
		e, sum, count := ended(cfg), 0.0, 0.0
		for i, m := range e.mask {
			if counts(i%10, m) {
				sum += math.Pow(float64(e.noise[2*i]), 2) + math.Pow(float64(e.noise[2*i+1]), 2)
				count += 2
			}
		}
		backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
			exec := newExec(t, engine, newStore(), func(_ *model.Scope, mask, noise *Node) *Node {
				return meanOver(kind.positions(mask), Square(noise))
			})
			arguments := e.arguments()
			got := tensors.ToScalar[float32](runExec(t, engine, exec, arguments[1], arguments[2]))
			if math.Abs(float64(got)-sum/count) > 1e-4 {
				t.Errorf("%s: loss %v, want %v", kind, got, sum/count)
			}
		})
	}
}

// TestBoundsWiden: they are the first ones where no signal is left, the last ones where
// nothing else is, and between by the signal's share of the variance.
func TestBoundsWiden(t *testing.T) {
	l := Limits{First: Bounds{[]float32{-1}, []float32{1}}, Last: Bounds{[]float32{-3}, []float32{9}}}
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		exec := newExec(t, engine, model.NewStore(), func(_ *model.Scope, states, signal *Node) *Node {
			return l.apply(states, signal, nil)
		})
		for signal, want := range map[float32][]float32{0: {-1, 0.5, 1}, 1: {-3, 0.5, 9}, 0.5: {-1.5, 0.5, 3}} {
			got := runExec(t, engine, exec, tensors.FromValue([][][]float32{{{-20}, {0.5}, {20}}}), tensors.FromScalar(signal))
			if diff := cmp.Diff(want, tensors.MustCopyFlatData[float32](got), near(tolerance)); diff != "" {
				t.Errorf("√ᾱ = %v (-want +got):\n%s", signal, diff)
			}
		}
	})
}
