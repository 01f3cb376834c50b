package edm

import (
	"fmt"
	"math"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/nets"
	"diffstitch/modelops/random"
)

// move is one step of the sampler, from a noise level to the next (algorithm 2).
type move struct {
	churn float64      // deviation of the noise that is added first
	hat   coefficients // at the noise level that this makes, σ̂
	next  coefficients // at the level the step leads to; the last one's is not used
	size  float64      // σ_next − σ̂
	// second is the share that the slope at the step's end has in the step: a half
	// (Heun), and nothing in the last step, which ends without noise (Euler).
	second float64
}

// moves lists the sampler's steps.
func moves(steps int) []move {
	sigmas := levels(steps)
	list := make([]move, steps)
	for i := range list {
		now, next := sigmas[i], sigmas[i+1]
		gamma := 0.0
		if now >= churnFrom && now <= churnTo {
			gamma = min(churn/float64(steps), math.Sqrt2-1)
		}
		hat := now * (1 + gamma)
		list[i] = move{
			churn: churnScale * math.Sqrt(hat*hat-now*now),
			hat:   at(hat), next: at(max(next, leastNoise)), size: next - hat, second: 0.5,
		}
		if i == steps-1 {
			list[i].second = 0
		}
	}
	return list
}

// levels are the noise levels at which the steps begin, falling, and the 0 at
// which the last one ends (equation 5).
func levels(steps int) []float64 {
	most, least := math.Pow(mostNoise, 1/curvature), math.Pow(leastNoise, 1/curvature)
	sigmas := make([]float64, steps+1)
	for i := range steps {
		sigmas[i] = math.Pow(most+float64(i)/float64(steps-1)*(least-most), curvature)
	}
	return sigmas
}

// Draw makes the noise of rows, each from its own seed: what the first row of
// Sample's noise begins with, then what each step adds. Rows without a seed, the
// last ones, get none.
//
//	result: [steps+1, rows, dim]
func Draw(seeds []uint64, rows, dim, steps int) []float32 {
	noise := make([]float32, (steps+1)*rows*dim)
	own := make([]float32, (steps+1)*dim)
	for row, seed := range seeds {
		random.FillNormal(own, seed)
		for step := range steps + 1 {
			copy(noise[(step*rows+row)*dim:(step*rows+row+1)*dim], own[step*dim:])
		}
	}
	return noise
}

// Runs is how often Sample runs the net: at both ends of each step.
func Runs(steps int) int64 { return 2 * int64(steps) }

// Sample denoises rows in one loop of the graph.
//
// The net's variables, all below scope, must exist; see nets.Carried.
//
//	noise:  [steps+1, rows, dim], standard normal, see Draw
//	result: [rows, dim], normalised
func Sample(scope *model.Scope, cfg Config, noise *Node) *Node {
	check(cfg.Validate())
	p := &process{
		steps:     noise.Shape().Dim(0) - 1,
		net:       func(x, level *Node) *Node { return nets.Residual(scope, cfg.Net, x, level) },
		variables: nets.Carry(scope),
	}
	return p.run(noise)
}

// process is the sampling by a net.
type process struct {
	steps     int
	net       func(x, level *Node) *Node // [rows, dim] and [1] to [rows, dim]
	variables nets.Carried               // of the net
}

// Places of the loop's state; the variables follow.
const (
	inCounter = iota // scalar int32, steps taken
	inRows           // [rows, dim]
	inNoise          // [steps, rows·dim]
	inWeights
)

// run is the loop.
func (p *process) run(noise *Node) *Node {
	check(ValidateSteps(p.steps))
	g, rows, dim := noise.Graph(), noise.Shape().Dim(1), noise.Shape().Dim(2)
	first := Reshape(Slice(noise, AxisElem(0)), rows, dim)
	state := append([]*Node{
		Const(g, int32(0)),
		MulScalar(first, mostNoise),
		Reshape(Slice(noise, AxisRange(1)), p.steps, rows*dim),
	}, p.variables.Weights(g)...)
	more := NewClosure(g, func(g *Graph) []*Node {
		return []*Node{LessThan(parameters(g, state)[inCounter], Const(g, int32(p.steps)))}
	})
	advance := NewClosure(g, func(g *Graph) []*Node { return p.advance(parameters(g, state)) })
	return While(more, advance, state...)[inRows]
}

// parameters is the state as parameters of a closure.
func parameters(g *Graph, state []*Node) []*Node {
	inside := make([]*Node, len(state))
	for i, node := range state {
		inside[i] = Parameter(g, fmt.Sprintf("state_%d", i), node.Shape())
	}
	return inside
}

// advance takes one step.
func (p *process) advance(state []*Node) []*Node {
	restore := p.variables.Use(state[inWeights:])
	defer restore()
	counter, x := state[inCounter], state[inRows]
	pick := p.picker(counter)
	fresh := Reshape(Gather(state[inNoise], Reshape(counter, 1, 1)), x.Shape().Dimensions...)
	x = Add(x, Mul(fresh, pick(func(m move) float64 { return m.churn })))
	slope := p.slope(x, pick, func(m move) coefficients { return m.hat })
	size := pick(func(m move) float64 { return m.size })
	ahead := Add(x, Mul(slope, size))
	change := Sub(p.slope(ahead, pick, func(m move) coefficients { return m.next }), slope)
	slope = Add(slope, Mul(change, pick(func(m move) float64 { return m.second })))
	next := slices.Clone(state)
	next[inCounter] = Add(counter, Const(counter.Graph(), int32(1)))
	next[inRows] = Add(x, Mul(slope, size))
	return next
}

// slope is dx/dσ = (x − D(x, σ))/σ at a noise level of the step.
//
//	x, result: [rows, dim]
func (p *process) slope(x *Node, pick func(func(move) float64) *Node, of func(move) coefficients) *Node {
	level := Reshape(pick(func(m move) float64 { return of(m).level }), 1)
	output := p.net(Mul(x, pick(func(m move) float64 { return of(m).in })), level)
	left := Mul(x, pick(func(m move) float64 { return (1 - of(m).skip) / of(m).sigma }))
	return Sub(left, Mul(output, pick(func(m move) float64 { return of(m).out / of(m).sigma })))
}

// picker looks a number of the step at hand up, as a scalar.
func (p *process) picker(counter *Node) func(func(move) float64) *Node {
	list := moves(p.steps)
	return func(value func(move) float64) *Node {
		table := make([]float32, len(list))
		for i, m := range list {
			table[i] = float32(value(m))
		}
		return Reshape(Gather(Const(counter.Graph(), table), Reshape(counter, 1, 1)))
	}
}
