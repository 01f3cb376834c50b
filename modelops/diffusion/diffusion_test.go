package diffusion

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/nets"
	"diffstitch/modelops/random"
)

// tolerance is how far float32 results of the same computation in another
// order may lie apart.
const tolerance = 1e-4

func near(within float64) cmp.Option { return cmpopts.EquateApprox(within, within) }

func TestSignalFalls(t *testing.T) {
	for _, steps := range []int{2, 20, 100, 1000} {
		before := 1.0
		for step, left := range signal(steps) {
			if left <= 0 || left >= before {
				t.Errorf("K=%d: signal left at step %d is %g after %g", steps, step, left, before)
			}
			before = left
		}
	}
}

// TestUpdatesFindTheCleanState runs the reverse steps with the exact noise: both
// samplers must end at the clean state, whatever the number of steps.
func TestUpdatesFindTheCleanState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sampler := Sampler{
			Kind:  rapid.SampledFrom(samplers).Draw(t, "kind"),
			Steps: rapid.IntRange(0, 50).Draw(t, "steps"),
		}
		if sampler.Kind == DDPM {
			sampler.Variance = rapid.SampledFrom([]string{"", VarianceBeta}).Draw(t, "variance")
		}
		clean, x := rapid.Float64Range(-2, 2).Draw(t, "clean"), rapid.Float64Range(-3, 3).Draw(t, "x")
		for _, u := range sampler.updates(50) {
			x = u.fromClean*clean + u.fromState*x + u.fresh
		}
		if math.Abs(x-clean) > 1e-9 {
			t.Errorf("ends at %g, not at %g", x, clean)
		}
	})
}

// TestOrder: of numbers from a normal distribution the way of the reverse process is known.
// DDIM's error falls with the steps, DPM's nearly with their square.
func TestOrder(t *testing.T) {
	const spread, steps = 0.5, 1000
	final := func(kind string, count int) float64 {
		x, before := 1.0, 0.0
		updates := Sampler{Kind: kind, Steps: count}.updates(steps)
		for _, u := range updates[:len(updates)-1] { // all but the step to the clean state
			variance := u.signalShare*u.signalShare*spread*spread + u.noiseShare*u.noiseShare
			clean := u.signalShare * spread * spread / variance * x
			x = u.fromClean*(clean+u.ahead*(clean-before)) + u.fromState*x
			before = clean
		}
		first, last := updates[0], updates[len(updates)-1]
		length := func(u update) float64 {
			return math.Sqrt(u.signalShare*u.signalShare*spread*spread + u.noiseShare*u.noiseShare)
		}
		return math.Abs(x - length(last)/length(first)) // which the exact way comes to
	}
	for kind, order := range map[string]float64{DDIM: 0.9, DPM: 1.6} {
		if fell := math.Log2(final(kind, 100) / final(kind, 200)); fell < order {
			t.Errorf("%s: with twice the steps the error is 2^-%.2f of it, want 2^-%g", kind, fell, order)
		}
	}
	if ddim, dpm := final(DDIM, 20), final(DPM, 20); dpm > ddim/4 {
		t.Errorf("in 20 steps DPM is off by %g, DDIM by %g", dpm, ddim)
	}
}

// TestDDPMUpdates holds a step to Ho et al. 2020, equations 6 and 7.
func TestDDPMUpdates(t *testing.T) {
	left := signal(10)
	u := Sampler{Kind: DDPM, NoiseScale: 0.5}.updates(10)[3]
	now, next := left[6], left[5]
	beta := 1 - now/next
	want := update{
		step: 6, signalShare: math.Sqrt(now), noiseShare: math.Sqrt(1 - now),
		fromClean: math.Sqrt(next) * beta / (1 - now),
		fromState: math.Sqrt(1-beta) * (1 - next) / (1 - now),
		fresh:     0.5 * math.Sqrt(beta*(1-next)/(1-now)),
	}
	if diff := cmp.Diff(want, u, near(1e-12), cmp.AllowUnexported(update{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestVarianceBeta: the other variance of Ho et al. 2020, of which the last step adds
// none.
func TestVarianceBeta(t *testing.T) {
	left := signal(10)
	updates := Sampler{Kind: DDPM, Variance: VarianceBeta}.updates(10)
	if got, want := updates[3].fresh, math.Sqrt(1-left[6]/left[5]); math.Abs(got-want) > 1e-12 {
		t.Errorf("noise of %v, want √β = %v", got, want)
	}
	if last := updates[9].fresh; last != 0 {
		t.Errorf("the last step adds noise of %v", last)
	}
}

func TestSteps(t *testing.T) {
	for _, test := range []struct {
		steps int
		want  []int
	}{
		{steps: 0, want: []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{steps: 5, want: []int{9, 7, 5, 3, 1}},
		{steps: 3, want: []int{9, 5, 2}},
		{steps: 1, want: []int{9}},
	} {
		if diff := cmp.Diff(test.want, Sampler{Steps: test.steps}.steps(10)); diff != "" {
			t.Errorf("%d steps (-want +got):\n%s", test.steps, diff)
		}
	}
}

// TestTrainingMasks holds them to what they promise, for windows of all lengths.
func TestTrainingMasks(t *testing.T) {
	const horizon, each = 12, 500
	states := make([]float32, 0, horizon*each)
	for n := 2; n <= horizon; n++ {
		states = append(states, slices.Repeat([]float32{float32(n)}, each)...)
	}
	for _, masks := range []Masks{TwoHidden, OneKnown} {
		t.Run(string(masks), func(t *testing.T) {
			backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
				rows := drawMasks(t, engine, masks, states, horizon)
				seen := map[string]bool{}
				for i, n := range states {
					mask := rows[i*horizon : (i+1)*horizon]
					checkMask(t, mask, int(n))
					seen[fmt.Sprint(mask)] = true
				}
				want := 0
				for n := 2; n <= horizon; n++ {
					want += masksOf(masks, n)
				}
				if len(seen) < want*9/10 || len(seen) > want {
					t.Errorf("%d masks drawn of %d", len(seen), want)
				}
			})
		})
	}
}

// masksOf counts the masks of a window of n states.
func masksOf(masks Masks, n int) int {
	if masks == TwoHidden {
		if n < 4 {
			return 1
		}
		return (n-3)*(n-2)/2 + 1 // nonempty intervals of [2, n-1), and none
	}
	if n < 3 {
		return 1
	}
	return (n - 2) * (n - 1) / 2 // nonempty intervals of [1, n-1)
}

func checkMask(t *testing.T, mask []float32, states int) {
	t.Helper()
	if slices.ContainsFunc(mask[states:], func(m float32) bool { return m != Past }) {
		t.Fatalf("%d states: %v", states, mask)
	}
	if mask[0] != 1 || mask[states-1] != 0 {
		t.Fatalf("the first isn't known or the last isn't hidden: %v", mask)
	}
	hidden := 0
	for i := 1; i < states; i++ {
		if mask[i] != 0 && mask[i] != 1 {
			t.Fatalf("neither known nor hidden: %v", mask)
		}
		if mask[i] == 0 && mask[i-1] == 1 {
			hidden++
		}
	}
	if hidden > 2 {
		t.Errorf("%d hidden intervals: %v", hidden, mask)
	}
}

// drawMasks draws a mask for each number of states.
//
//	result: [len(states), horizon]
func drawMasks(t testing.TB, engine compute.Backend, masks Masks, states []float32, horizon int) []float32 {
	t.Helper()
	exec := newExec(t, engine, model.NewStore(), func(_ *model.Scope, state, states *Node) *Node {
		return TrainingMask(random.NewDraws(state), masks, states, horizon)
	})
	state := random.State(rand.New(rand.NewPCG(1, 2)))
	got := runExec(t, engine, exec, tensors.FromFlatDataAndDimensions(state, len(state)), tensors.FromFlatDataAndDimensions(states, len(states)))
	return tensors.MustCopyFlatData[float32](got)
}

func TestCondition(t *testing.T) {
	nan := float32(math.NaN())
	known := tensors.FromValue([][][]float32{{{1}, {nan}, {nan}, {4}, {nan}}, {{nan}, {nan}, {3}, {5}, {nan}}})
	mask := tensors.FromValue([][]float32{{1, 0, 0, 1, 0}, {0, 0, 1, 1, 0}})
	for conditioning, want := range map[Conditioning][]float32{
		ConditionZeros:        {1, 1, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 3, 1, 5, 1, 0, 0},
		ConditionInterpolated: {1, 1, 2, 0, 3, 0, 4, 1, 4, 0, 3, 0, 3, 0, 3, 1, 5, 1, 5, 0},
	} {
		t.Run(string(conditioning), func(t *testing.T) {
			backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
				exec := newExec(t, engine, model.NewStore(), func(_ *model.Scope, known, mask *Node) *Node {
					return condition(conditioning, known, mask)
				})
				got := runExec(t, engine, exec, local(t, known), local(t, mask))
				if diff := cmp.Diff(want, tensors.MustCopyFlatData[float32](got), near(tolerance)); diff != "" {
					t.Errorf("state and mask by position (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestLoopTakesTheSteps holds the sampler's loop equal to its steps taken one
// graph call at a time, and known states bit for bit.
func TestLoopTakesTheSteps(t *testing.T) {
	for name, test := range map[string]struct {
		sampler Sampler
		limits  Limits
		change  func(*Config)
	}{
		"ddim":   {Sampler{Kind: DDIM, Steps: 4}, Limits{}, func(*Config) {}},
		"ddpm":   {Sampler{Kind: DDPM, NoiseScale: 0.5}, limits, func(c *Config) { c.Conditioning = ConditionZeros }},
		"dpm":    {Sampler{Kind: DPM, Steps: 4}, limits, func(*Config) {}},
		"lines":  {Sampler{Kind: DDIM, Steps: 4}, limits, func(c *Config) { c.Conditioning = ConditionDeviation }},
		"held":   {Sampler{Kind: DDIM, Steps: 4}, Limits{Held: []int{0}}, func(c *Config) { c.Conditioning = ConditionDeviation }},
		"guided": {Sampler{Kind: DDIM, Steps: 3}, Limits{}, func(c *Config) { c.Guidance = &Guidance{Dropout: 0.25, Weight: 1.2} }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := toyConfig()
			test.change(&cfg)
			cfg = NewConfig(cfg.UNet, cfg)
			backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
				s := newSampling(t, engine, cfg, test.sampler)
				s.limits = test.limits
				states := s.loop(t)
				if diff := cmp.Diff(s.oneByOne(t), states, near(tolerance)); diff != "" {
					t.Errorf("(-steps +loop):\n%s", diff)
				}
				for i, known := range s.examples.mask {
					if known == 1 && math.Float32bits(states[i]) != math.Float32bits(s.examples.states[i]) {
						t.Errorf("known state %d became %v instead of %v", i, states[i], s.examples.states[i])
					}
				}
			})
		})
	}
}

// sampling is a net with random weights and something to complete.
type sampling struct {
	engine   compute.Backend
	store    *model.Store
	cfg      Config
	sampler  Sampler
	limits   Limits
	examples examples
}

var limits = Limits{First: Bounds{[]float32{-0.5}, []float32{0.25}}, Last: Bounds{[]float32{-1}, []float32{1}}}

func newSampling(t *testing.T, engine compute.Backend, cfg Config, sampler Sampler) *sampling {
	t.Helper()
	s := &sampling{engine: engine, store: model.NewStore(), cfg: cfg, sampler: sampler, examples: randomExamples(cfg, 2, 1)}
	onGo, drawn := backendtest.Open(t, backend.Go), newStore()
	exec := newExec(t, onGo, drawn, func(scope *model.Scope, in []*Node) *Node {
		return Loss(scope.At("denoiser"), cfg, s.batch(in))
	})
	runExec(t, onGo, exec, s.examples.arguments()...) // draws the weights
	for variable := range drawn.Scope("/denoiser").IterVariables() {
		if _, err := s.store.CreateVariable(variable.Path(), local(t, variable.MustValue())); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *sampling) batch(in []*Node) Batch {
	batch := Batch{States: in[0], Mask: in[1], Noise: in[2], Step: in[3]}
	if s.cfg.Guidance != nil {
		batch.Return = ReduceSum(in[1], -1)
		batch.Guided = OnesLike(batch.Return)
	}
	return batch
}

func (s *sampling) task(in []*Node) Task {
	task := Task{Known: in[0], Mask: in[1], Noise: in[2], Return: s.batch(in).Return, Limits: s.limits}
	if s.sampler.Kind == DDPM {
		task.Random = RNGStateFromSeedForGraph(in[0].Graph(), 7)
	}
	return task
}

func (s *sampling) loop(t *testing.T) []float32 {
	exec := newExec(t, s.engine, s.store, func(scope *model.Scope, in []*Node) *Node {
		return Sample(scope.At("denoiser"), s.cfg, s.sampler, s.task(in))
	})
	return tensors.MustCopyFlatData[float32](runExec(t, s.engine, exec, s.examples.arguments()...))
}

// oneByOne takes the steps in graphs of their own.
func (s *sampling) oneByOne(t *testing.T) []float32 {
	start := newExec(t, s.engine, s.store, func(scope *model.Scope, in []*Node) []*Node {
		return newProcess(scope.At("denoiser"), s.cfg, s.sampler, s.limits).start(s.task(in)).nodes()
	})
	var pattern state // of the same nodes, to name those of a later graph
	advance := newExec(t, s.engine, s.store, func(scope *model.Scope, in []*Node) []*Node {
		p := newProcess(scope.At("denoiser"), s.cfg, s.sampler, s.limits)
		pattern = state{counter: in[0], x: in[0], known: in[0], keep: in[0], shown: in[0]}
		if s.sampler.Kind == DDPM {
			pattern.random = in[0]
		}
		if s.cfg.Guidance != nil {
			pattern.returns = in[0]
		}
		if len(s.limits.Held) > 0 {
			pattern.held = in[0]
		}
		if s.sampler.Kind == DPM {
			pattern.before = in[0]
		}
		now := pattern.replace(in)
		now.weights = p.variables.Weights(in[0].Graph())
		next := p.advance(now)
		next.weights = nil
		return next.nodes()
	})
	nodes := runAll(t, s.engine, start, s.examples.arguments()...)
	for range s.sampler.updates(s.cfg.DenoisingSteps) {
		arguments := make([]any, len(nodes))
		for i, node := range nodes {
			arguments[i] = node
		}
		nodes = runAll(t, s.engine, advance, arguments...)
	}
	finish := newExec(t, s.engine, s.store, func(scope *model.Scope, in []*Node) []*Node {
		last := len(in) - 1
		return []*Node{newProcess(scope.At("denoiser"), s.cfg, s.sampler, s.limits).finish(s.task(in[:last]), in[last])}
	})
	denoised := append(s.examples.arguments(), nodes[1])
	return tensors.MustCopyFlatData[float32](runAll(t, s.engine, finish, denoised...)[0])
}

// toyConfig is a denoiser of one number, small enough to learn in a second.
func toyConfig() Config {
	unet := nets.UNetConfig{StateDim: 1, Horizon: 10, Channels: 8, Multipliers: []int{1}, Kernel: 3, Groups: 4}
	return NewConfig(unet, Config{DenoisingSteps: 10, Conditioning: ConditionInterpolated, Masks: TwoHidden})
}

// TestLearns trains on straight lines of one number, and has the loss fall.
func TestLearns(t *testing.T) {
	cfg := toyConfig()
	backendtest.ForEach(t, func(t *testing.T, engine compute.Backend) {
		trainer := newTrainer(t, engine, cfg)
		const steps, window = 200, 20
		var late float32
		for step := range steps {
			loss := trainer.step(t, lines(cfg, 32, uint64(step)))
			if step >= steps-window {
				late += loss / window
			}
		}
		// A net that learns nothing predicts no noise, for a loss of 1.
		t.Logf("loss %g", late)
		if late > 0.3 {
			t.Errorf("the loss is still %g", late)
		}
	})
}

// lines are examples that rise or fall at a random rate.
func lines(cfg Config, batch int, seed uint64) examples {
	e := randomExamples(cfg, batch, seed)
	for row := range batch {
		from, slope := e.states[row*e.horizon], e.states[row*e.horizon+1]
		for i := range e.horizon {
			e.states[row*e.horizon+i] = from + slope*float32(i)/float32(e.horizon)
		}
	}
	return e
}

func TestConfigs(t *testing.T) {
	for name, broken := range map[string]func(*Config){
		"one step":             func(c *Config) { c.DenoisingSteps = 1 },
		"unknown conditioning": func(c *Config) { c.Conditioning = "none" },
		"unknown masks":        func(c *Config) { c.Masks = "all" },
		"unknown loss":         func(c *Config) { c.Loss = "some" },
		"negative margin":      func(c *Config) { c.Margin = -1 },
		"condition's width":    func(c *Config) { c.UNet.ConditionDim = 1 },
		"guidance unwired":     func(c *Config) { c.Guidance = &Guidance{} },
		"dropout beyond one":   func(c *Config) { c.Guidance = &Guidance{Dropout: 2}; c.UNet.WithReturn = true },
		"broken net":           func(c *Config) { c.UNet.Kernel = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := toyConfig()
			broken(&cfg)
			if cfg.Validate() == nil {
				t.Errorf("no error for %+v", cfg)
			}
		})
	}
	if err := toyConfig().Validate(); err != nil {
		t.Error(err)
	}
	for _, sampler := range []Sampler{{Kind: "euler"}, {Kind: DDIM, Steps: 11}, {Kind: DDPM, Steps: -1}, {Kind: DDPM, NoiseScale: -1}, {Kind: DDPM, Variance: "none"}, {Kind: DDIM, Variance: VarianceBeta}} {
		if sampler.Validate(10) == nil {
			t.Errorf("no error for %+v", sampler)
		}
	}
}
