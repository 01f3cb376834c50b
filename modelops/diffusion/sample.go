package diffusion

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/nets"
)

// Task is what the sampler completes.
type Task struct {
	Known *Node // [batch, horizon, stateDim], normalised; anything where hidden
	Mask  *Node // [batch, horizon], 1 = known, 0 = hidden, Past = past the episode's end
	Noise *Node // [batch, horizon, stateDim], standard normal
	// Random seeds the noise that DDPM adds at each step: a state of the random
	// number generator (see graph.RNGStateFromSeed). Nil with other samplers.
	Random *Node
	// Part, where set, says that the windows are some of a larger batch, whose noise
	// DDPM draws.
	Part *Part
	// Return is nil without guidance.
	Return *Node // [batch], the normalised return to aim at
	// Limits of the states.
	Limits Limits
}

// Part places windows in the batch they are of.
type Part struct {
	Batch int   // windows of the whole batch
	First *Node // scalar int32, where in it the first of these is
}

// Sample runs the reverse process in one loop of the graph, and returns states
// of which the known ones are Known's bit for bit, and what is past the end zero.
//
// The net's variables, all below scope, must exist; see nets.Carried.
//
//	result: [batch, horizon, stateDim]
func Sample(scope *model.Scope, cfg Config, sampler Sampler, task Task) *Node {
	check(cfg.Validate())
	check(sampler.Validate(cfg.DenoisingSteps))
	if (task.Random != nil) != (sampler.Kind == DDPM) {
		panic(fmt.Errorf("diffusion: the ddpm sampler needs a random state, others none"))
	}
	process := newProcess(scope, cfg, sampler, task.Limits)
	process.part = task.Part
	g := task.Known.Graph()
	first := process.start(task)
	first.weights = process.variables.Weights(g)
	more := NewClosure(g, func(g *Graph) []*Node {
		return []*Node{LessThan(first.parameters(g).counter, Const(g, int32(len(process.updates))))}
	})
	advance := NewClosure(g, func(g *Graph) []*Node {
		return process.advance(first.parameters(g)).nodes()
	})
	return process.finish(task, first.replace(While(more, advance, first.nodes()...)).x)
}

// finish makes states of what was denoised, and puts the known ones back as they
// were.
func (p *process) finish(task Task, denoised *Node) *Node {
	shown := condition(p.cfg.Conditioning, task.Known, task.Mask)
	return Where(spread(task.Mask, denoised), task.Known, fromDeviations(p.cfg.Conditioning, denoised, shown))
}

// process is the reverse process of a net.
type process struct {
	scope     *model.Scope
	cfg       Config
	sampler   Sampler
	limits    Limits
	updates   []update
	part      *Part // nil where the windows are a whole batch
	variables nets.Carried
}

func newProcess(scope *model.Scope, cfg Config, sampler Sampler, limits Limits) *process {
	return &process{
		scope: scope, cfg: cfg, sampler: sampler, limits: limits, updates: sampler.updates(cfg.DenoisingSteps), variables: nets.Carry(scope),
	}
}

// state is what the loop carries from step to step. Only the first three and
// random change; the others are there because the body sees nothing else.
type state struct {
	counter *Node // scalar int32, reverse steps done
	x       *Node // [batch, horizon, stateDim], at the denoising step: what is denoised
	before  *Node // [batch, horizon, stateDim], the clean states of the step before; nil but with DPM
	known   *Node // [batch, horizon, stateDim], as deviations where these are denoised
	keep    *Node // [batch, horizon, stateDim] bool, the known states, and what is past the end
	held    *Node // [batch, horizon, stateDim], see Limits.heldStates; nil if nothing is held
	shown   *Node // [batch, horizon, stateDim+1], the condition
	random  *Node // a random state; nil but with DDPM
	first   *Node // scalar int32, where in the batch x begins; nil where x is all of it
	returns *Node // [batch]; nil without guidance
	weights []*Node
}

// start puts noise at the hidden positions; the weights are added by the caller.
func (p *process) start(task Task) state {
	g := task.Known.Graph()
	noise := MulScalar(task.Noise, p.sampler.noiseScale())
	keep := LogicalOr(spread(task.Mask, noise), isPast(task.Mask, noise))
	shown := condition(p.cfg.Conditioning, task.Known, task.Mask)
	known := toDeviations(p.cfg.Conditioning, blank(task.Known, task.Mask), shown)
	s := state{
		counter: Const(g, int32(0)),
		x:       Where(keep, known, noise),
		known:   known,
		keep:    keep,
		held:    p.limits.heldStates(task.Known, task.Mask),
		shown:   shown,
		random:  task.Random,
		returns: task.Return,
	}
	if p.part != nil {
		s.first = p.part.First
	}
	if p.sampler.Kind == DPM {
		s.before = ZerosLike(noise)
	}
	return s
}

// advance takes one reverse step.
func (p *process) advance(s state) state {
	restore := p.variables.Use(s.weights)
	defer restore()
	u := p.coefficients(s.counter)
	noise := p.predict(s, u)
	clean := Div(Sub(s.x, Mul(noise, u.noiseShare)), u.signalShare)
	states := p.limits.apply(fromDeviations(p.cfg.Conditioning, clean, s.shown), u.signalShare, s.held)
	clean = toDeviations(p.cfg.Conditioning, states, s.shown)
	if s.before != nil {
		s.before, clean = clean, Add(clean, Mul(u.ahead, Sub(clean, s.before)))
	}
	x := Add(Mul(clean, u.fromClean), Mul(s.x, u.fromState))
	if s.random != nil {
		var fresh *Node
		s.random, fresh = p.freshNoise(s)
		x = Add(x, Mul(fresh, u.fresh))
	}
	s.x = Where(s.keep, s.known, x)
	s.counter = Add(s.counter, Const(s.counter.Graph(), int32(1)))
	return s
}

// freshNoise draws the noise of a reverse step for the whole batch, of which it
// gives the rows of x, so that a part of a batch gets what it would get in the whole.
//
//	noise: [batch, horizon, stateDim]
func (p *process) freshNoise(s state) (random, noise *Node) {
	if p.part == nil {
		return RandomNormal(s.random, s.x.Shape())
	}
	g, shape := s.x.Graph(), s.x.Shape().Clone()
	rows := Iota(g, shapes.Make(dtypes.Int32, shape.Dim(0), 1), 0)
	last := Const(g, int32(p.part.Batch-1)) // rows past it are padding
	shape.Dimensions[0] = p.part.Batch
	random, noise = RandomNormal(s.random, shape)
	return random, Gather(noise, Min(Add(rows, s.first), last))
}

// predict runs the net, twice in one batch where a return guides it.
//
//	result: [batch, horizon, stateDim]
func (p *process) predict(s state, u coefficients) *Node {
	batch := s.x.Shape().Dim(0)
	in := nets.UNetInputs{X: s.x, Condition: s.shown}
	if p.cfg.Guidance == nil {
		in.Step = BroadcastToDims(u.step, batch)
		return nets.UNet(p.scope, p.cfg.UNet, in)
	}
	twice := func(x *Node) *Node { return Concatenate([]*Node{x, x}, 0) }
	guided := BroadcastToDims(scalar(s.x, 1), batch)
	free := BroadcastToDims(scalar(s.x, 0), batch)
	in.X, in.Condition, in.Return = twice(s.x), twice(s.shown), twice(s.returns)
	in.Step = BroadcastToDims(u.step, 2*batch)
	in.Guided = Concatenate([]*Node{guided, free}, 0)
	both := nets.UNet(p.scope, p.cfg.UNet, in)
	heard, unheard := SliceAxis(both, 0, AxisRange(0, batch)), SliceAxis(both, 0, AxisRange(batch))
	return Add(unheard, Mul(Sub(heard, unheard), scalar(both, p.cfg.Guidance.Weight)))
}

// scalar is a constant that a loop's body may use: GoMLX's own scalars are kept
// for the whole graph, and XLA refuses those that were made outside.
func scalar(x *Node, value float64) *Node {
	return Const(x.Graph(), float32(value))
}

// coefficients are an update's, as scalars of the graph.
type coefficients struct {
	step                    *Node // int32
	signalShare, noiseShare *Node
	fromClean, fromState    *Node
	ahead                   *Node
	fresh                   *Node
}

// coefficients looks the update up.
func (p *process) coefficients(counter *Node) coefficients {
	g := counter.Graph()
	pick := func(value func(update) float64) *Node {
		table := make([]float32, len(p.updates))
		for i, u := range p.updates {
			table[i] = float32(value(u))
		}
		return Reshape(Gather(Const(g, table), Reshape(counter, 1, 1)))
	}
	return coefficients{
		step:        ConvertDType(pick(func(u update) float64 { return float64(u.step) }), dtypes.Int32),
		signalShare: pick(func(u update) float64 { return u.signalShare }),
		noiseShare:  pick(func(u update) float64 { return u.noiseShare }),
		fromClean:   pick(func(u update) float64 { return u.fromClean }),
		fromState:   pick(func(u update) float64 { return u.fromState }),
		ahead:       pick(func(u update) float64 { return u.ahead }),
		fresh:       pick(func(u update) float64 { return u.fresh }),
	}
}

// fields lists where the nodes are, those of the state that are set.
func (s *state) fields() []**Node {
	all := []**Node{&s.counter, &s.x, &s.before, &s.known, &s.keep, &s.held, &s.shown, &s.random, &s.first, &s.returns}
	for i := range s.weights {
		all = append(all, &s.weights[i])
	}
	return slices.DeleteFunc(all, func(field **Node) bool { return *field == nil })
}

// nodes lists the state for the loop.
func (s state) nodes() []*Node {
	var nodes []*Node
	for _, field := range s.fields() {
		nodes = append(nodes, *field)
	}
	return nodes
}

// replace is the state with other nodes, in the order of nodes.
func (s state) replace(nodes []*Node) state {
	s.weights = slices.Clone(s.weights)
	for i, field := range s.fields() {
		*field = nodes[i]
	}
	return s
}

// parameters is the state as parameters of a closure.
func (s state) parameters(g *Graph) state {
	var nodes []*Node
	for i, node := range s.nodes() {
		nodes = append(nodes, Parameter(g, fmt.Sprintf("state_%d", i), node.Shape()))
	}
	return s.replace(nodes)
}
