package learners

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/checkpoint"
)

// decisionTransformer predicts the action of each step of a context from the returns
// that were still to come, the observations and the actions up to there. Its blocks
// have one head.
type decisionTransformer struct {
	cfg    Config
	replay replay
}

// tokens of a step: its return to go, its observation, its action.
const tokens = 3

// Spread of the first weights, and what keeps a norm from dividing by zero.
const (
	firstSpread = 0.02
	normEpsilon = 1e-5
)

func newDT(cfg Config, r replay) *decisionTransformer {
	return &decisionTransformer{cfg: cfg, replay: r}
}

// first draws the first weights as CORL does.
func (d *decisionTransformer) first(rng *rand.Rand) []checkpoint.Tensor {
	width, cfg := d.cfg.DT.Width, d.cfg.DT
	weights := []checkpoint.Tensor{normal(rng, "time", 1, cfg.EpisodeSteps+cfg.Context, width)}
	dense := func(name string, inputs, outputs int) {
		weights = append(weights, normal(rng, name+"/weights", 1, inputs, outputs), zeros(name+"/bias", 1, 1, outputs))
	}
	norm := func(name string) {
		scale := zeros(name+"/scale", 1, 1, width)
		for i := range scale.Data {
			scale.Data[i] = 1
		}
		weights = append(weights, scale, zeros(name+"/bias", 1, 1, width))
	}
	dense("return", 1, width)
	dense("observation", d.replay.observationDim, width)
	dense("action", d.replay.actionDim, width)
	norm("embedded_norm")
	for _, block := range d.blocks() {
		norm(block + "/attention_norm")
		limit := math.Sqrt(6 / float64(width+tokens*width))
		weights = append(weights,
			uniform(rng, limit, block+"/attention/weights", 1, width, 3*width), zeros(block+"/attention/bias", 1, 1, 3*width))
		dense(block+"/projection", width, width)
		norm(block + "/hidden_norm")
		dense(block+"/hidden", width, 4*width)
		dense(block+"/output", 4*width, width)
	}
	norm("output_norm")
	dense("head", width, d.replay.actionDim)
	return append(weights, moments(weights)...)
}

// normal draws an array of weights from a Gaussian.
func normal(rng *rand.Rand, name string, dims ...int) checkpoint.Tensor {
	t := zeros(name, dims...)
	for i := range t.Data {
		t.Data[i] = float32(firstSpread * rng.NormFloat64())
	}
	return t
}

// blocks names them.
func (d *decisionTransformer) blocks() []string {
	names := make([]string, d.cfg.DT.Layers)
	for i := range names {
		names[i] = "block_" + string(rune('0'+i))
	}
	return names
}

func (d *decisionTransformer) metrics() []string { return []string{"loss"} }

func (d *decisionTransformer) stride() int { return 1 }

func (d *decisionTransformer) perCall() int { return contextCallUpdates }

// update learns the actions of one batch of contexts.
func (d *decisionTransformer) update(u *update) {
	c := d.replay.drawContexts(u.table, u.streams, d.cfg.Batch, d.cfg.DT.Context)
	d.learn(u, c, newDropout(d.cfg.DT.Dropout, u.streams), contextsAtOnce(u.table.Graph()))
}

// learn takes one step by a batch of contexts, of which so many of a seed go through
// the net at once.
func (d *decisionTransformer) learn(u *update, c contexts, drop *dropout, largest int) {
	cfg := d.cfg.DT
	count := AddScalar(u.done, 1)
	warm := MinScalar(DivScalar(ConvertDType(count, dtypes.Float32), max(cfg.WarmupSteps, 1)), 1)
	names := slices.DeleteFunc(u.named(""), ofTraining)
	loss, gradients := d.gradients(u.values, names, c, drop, largest)
	adam{decay: cfg.WeightDecay, clip: cfg.GradientClip}.follow(u.values, names, gradients, loss.Shape().Dim(0), MulScalar(warm, d.cfg.LearningRate), count)
	u.report(loss)
}

// loss is the squared error of the actions, in which the padding counts as learned.
//
//	result: [seeds]
func (d *decisionTransformer) loss(values arrays, c contexts, drop *dropout) *Node {
	difference := Sub(d.actions(values, c, drop), c.actions)
	known := BroadcastToDims(InsertAxes(c.known, -1), difference.Shape().Dimensions...)
	return ReduceMean(Mul(Square(difference), known), 1, 2, 3)
}

// actions predicts the action of every step. Padding stands after the last step, so
// that no step looks at it.
//
//	result: [seeds, batch, context, A], in [-1, 1]
func (d *decisionTransformer) actions(values arrays, c contexts, drop *dropout) *Node {
	seeds, size, context := c.returns.Shape().Dim(0), c.returns.Shape().Dim(1), c.returns.Shape().Dim(2)
	x := drop.apply(norm(values, "embedded_norm", d.embed(values, c))) // [seeds, batch·context·tokens, width]
	blocks := d.blocks()
	for i, block := range blocks {
		seen, asking := norm(values, block+"/attention_norm", x), allTokens
		if i == len(blocks)-1 {
			asking = observationTokens // the others' results would not be looked at
			x = asking.of(x)
		}
		x = Add(x, drop.apply(d.attend(values, block, seen, asking, drop)))
		hidden := gelu(dense(values, block+"/hidden", norm(values, block+"/hidden_norm", x)))
		x = Add(x, drop.apply(dense(values, block+"/output", hidden)))
	}
	x = Tanh(dense(values, "head", norm(values, "output_norm", x)))
	return Reshape(x, seeds, size, context, d.replay.actionDim)
}

// embed makes three tokens of every step.
//
//	result: [seeds, batch·context·tokens, width]
func (d *decisionTransformer) embed(values arrays, c contexts) *Node {
	seeds, steps := c.returns.Shape().Dim(0), c.returns.Shape().Dim(1)*c.returns.Shape().Dim(2)
	time := d.embedTime(values, Reshape(c.times, seeds, steps))
	token := func(name string, x *Node, dim int) *Node {
		return InsertAxes(Add(dense(values, name, Reshape(x, seeds, steps, dim)), time), 2)
	}
	return Reshape(Concatenate([]*Node{
		token("return", c.returns, 1),
		token("observation", c.observations, d.replay.observationDim),
		token("action", c.actions, d.replay.actionDim),
	}, 2), seeds, steps*tokens, d.cfg.DT.Width)
}

// embedTime looks the steps' numbers up. The last embedding is that of all steps after.
//
//	times:  [seeds, steps] int32
//	result: [seeds, steps, width]
func (d *decisionTransformer) embedTime(values arrays, times *Node) *Node {
	table := values["time"] // [seeds, entries, width]
	seeds, entries, width := table.Shape().Dim(0), table.Shape().Dim(1), table.Shape().Dim(2)
	offset := MulScalar(Iota(times.Graph(), shapes.Make(dtypes.Int32, times.Shape().Dimensions...), 0), entries)
	rows := Add(MinScalar(times, entries-1), offset)
	return Gather(Reshape(table, seeds*entries, width), InsertAxes(rows, -1))
}

// selection is tokens of every step: the one at first, and each stride after it.
type selection struct{ first, stride int }

var allTokens, observationTokens = selection{0, 1}, selection{1, tokens}

// of takes them out of all.
//
//	x:      [seeds, rows, width]
//	result: [seeds, rows/stride, width]
func (s selection) of(x *Node) *Node {
	if s.stride == 1 {
		return x
	}
	seeds, rows, width := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	return Squeeze(SliceAxis(Reshape(x, seeds, rows/s.stride, s.stride, width), 2, AxisElem(s.first)), 2)
}

// earlier tells which tokens each of the selected may look at: itself and those before.
//
//	scores: [batches, selected, length]
//	result: the same, bool
func (s selection) earlier(scores *Node) *Node {
	g, shape := scores.Graph(), shapes.Make(dtypes.Int32, scores.Shape().Dimensions...)
	place := AddScalar(MulScalar(Iota(g, shape, 1), s.stride), s.first)
	return GreaterOrEqual(place, Iota(g, shape, 2))
}

// attend has the asking tokens gather from themselves and those before in their context.
//
//	x:      [seeds, batch·context·tokens, width]
//	result: [seeds, …, width], of the asking
func (d *decisionTransformer) attend(values arrays, block string, x *Node, asking selection, drop *dropout) *Node {
	width, length := d.cfg.DT.Width, d.cfg.DT.Context*tokens
	seeds, batches := x.Shape().Dim(0), x.Shape().Size()/(length*width)
	part := func(x *Node, i int) *Node {
		columns := AxisRange(i*width, (i+1)*width)
		weights, bias := values[block+"/attention/weights"], values[block+"/attention/bias"]
		return Reshape(linear(x, SliceAxis(weights, 2, columns), SliceAxis(bias, 2, columns)), batches, -1, width)
	}
	query, key, value := part(asking.of(x), 0), part(x, 1), part(x, 2)
	scores := Dot(query, key).General([]int{2}, []int{0}, []int{2}, []int{0}) // [batches, asking, length]
	scores = MulScalar(scores, 1/math.Sqrt(float64(width)))
	hidden := constantLike(scores, -1e9)
	weights := Softmax(Where(asking.earlier(scores), scores, hidden), -1)
	dims := weights.Shape().Dimensions
	weights = Reshape(drop.apply(Reshape(weights, seeds, batches/seeds, dims[1], length)), dims...)
	return dense(values, block+"/projection", Reshape(product(weights, value), seeds, -1, width))
}

// dense is the linear layer of a name.
func dense(values arrays, name string, x *Node) *Node {
	return linear(x, values[name+"/weights"], values[name+"/bias"])
}

// norm is a layer norm (Ba et al. 2016).
//
//	x: [seeds, rows, width]
func norm(values arrays, name string, x *Node) *Node {
	dims := x.Shape().Dimensions
	mean := ReduceAndKeep(x, ReduceMean, -1)
	x = Sub(x, BroadcastToDims(mean, dims...))
	spread := Sqrt(AddScalar(ReduceAndKeep(Square(x), ReduceMean, -1), normEpsilon))
	x = Mul(Div(x, BroadcastToDims(spread, dims...)), BroadcastToDims(values[name+"/scale"], dims...))
	return addBias(x, values[name+"/bias"])
}

// gelu is x·Φ(x) (Hendrycks and Gimpel 2016).
func gelu(x *Node) *Node {
	return Mul(x, MulScalar(AddScalar(Erf(MulScalar(x, 1/math.Sqrt2)), 1), 0.5))
}
