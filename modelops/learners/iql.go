package learners

import (
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/checkpoint"
)

// iql is implicit Q-learning: a value that is an expectile of the critics over the
// data's actions, critics that learn from that value, and an actor that clones the
// data's actions by the exponential of their advantage.
type iql struct {
	cfg    Config
	replay replay

	actor, value, critics, targets perceptron
}

const logStd = "actor/log_std" // [seeds, A]

// Bounds of the logarithm of a Gaussian actor's standard deviation.
const minLogStd, maxLogStd = -20, 2

func newIQL(cfg Config, r replay) *iql {
	o, a, hidden := r.observationDim, r.actionDim, cfg.IQL.Hidden
	return &iql{
		cfg: cfg, replay: r,
		actor:   twoLayers("actor", o, hidden, a, 1),
		value:   twoLayers("value", o, hidden, 1, 1),
		critics: twoLayers("critics", o+a, hidden, 1, 2),
		targets: twoLayers("targets", o+a, hidden, 1, 2),
	}
}

func (q *iql) first(rng *rand.Rand) []checkpoint.Tensor {
	var weights []checkpoint.Tensor
	for _, net := range []perceptron{q.actor, q.value, q.critics} {
		weights = append(weights, net.first(rng)...)
	}
	if !q.cfg.IQL.Deterministic {
		weights = append(weights, zeros(logStd, 1, q.replay.actionDim))
	}
	return append(append(weights, moments(weights)...), renamed(weights, q.critics, q.targets)...)
}

func (q *iql) metrics() []string { return []string{"value_loss", "critic_loss", "actor_loss"} }

func (q *iql) stride() int { return 1 }

func (q *iql) perCall() int { return callUpdates }

func (q *iql) update(u *update) {
	b := q.replay.draw(u.table, u.streams, q.cfg.Batch)
	var drop *dropout
	if rate := q.cfg.IQL.ActorDropout; rate > 0 {
		drop = newDropout(rate, u.streams)
	}
	q.learn(u, b, drop)
}

// learn changes the three nets by one batch, all from the weights before it.
func (q *iql) learn(u *update, b batch, drop *dropout) {
	cfg := q.cfg.IQL
	value := column(q.value.apply(u.values, b.observations))
	target := StopGradient(smaller(q.targets.apply(u.values, pairs(b.observations, b.actions))))
	advantage := Sub(target, value)
	valueLoss := perSeed(expectile(advantage, cfg.Expectile))

	next := column(q.value.apply(u.values, b.next))
	critics := q.critics.apply(u.values, pairs(b.observations, b.actions))
	criticLoss := MulScalar(squaredError(critics, StopGradient(bellman(b, next, cfg.Discount))), 0.5)

	weight := MinScalar(Exp(MulScalar(StopGradient(advantage), cfg.Beta)), cfg.MaxAdvantage)
	actorLoss := perSeed(Mul(weight, q.cloning(u.values, b, drop)))

	count := AddScalar(u.done, 1)
	rate := scalarOf(u.done, q.cfg.LearningRate)
	optimizer := adam{}
	optimizer.step(u.values, u.under(q.value.name), valueLoss, rate, count)
	optimizer.step(u.values, u.under(q.critics.name), criticLoss, rate, count)
	optimizer.step(u.values, u.under(q.actor.name), actorLoss, Mul(rate, cosine(u.done, q.cfg.Steps)), count)
	follow(u.values, q.targets, q.critics, cfg.Tau)
	u.report(valueLoss, criticLoss, actorLoss)
}

// cloning is how far the actor is from the data's actions: their negative log
// likelihood, or the squared distance where it is deterministic.
//
//	result: [seeds, batch]
func (q *iql) cloning(values arrays, b batch, drop *dropout) *Node {
	difference := Sub(b.actions, q.mean(values, b.observations, drop))
	if q.cfg.IQL.Deterministic {
		return ReduceSum(Square(difference), -1)
	}
	log := ClipScalar(values[logStd], minLogStd, maxLogStd) // [seeds, A]
	deviation := BroadcastToDims(InsertAxes(Exp(log), 1), difference.Shape().Dimensions...)
	distance := MulScalar(ReduceSum(Square(Div(difference, deviation)), -1), 0.5)
	constant := AddScalar(ReduceSum(log, -1), 0.5*math.Log(2*math.Pi)*float64(q.replay.actionDim)) // [seeds]
	return Add(distance, BroadcastToDims(InsertAxes(constant, 1), distance.Shape().Dimensions...))
}

// mean is the actor's action, the mean of its Gaussian.
//
//	observations: [seeds, n, O]
//	result:       [seeds, n, A], in [-1, 1]
func (q *iql) mean(values arrays, observations *Node, drop *dropout) *Node {
	return Tanh(q.actor.dropping(drop, values, observations))
}

func (q *iql) act(values arrays, observations *Node) *Node { return q.mean(values, observations, nil) }

// expectile is the asymmetric square |τ − [x < 0]|·x², whose least mean is the
// expectile τ.
func expectile(x *Node, tau float64) *Node {
	below := LessThan(x, ScalarZero(x.Graph(), x.DType()))
	return Mul(Where(below, constantLike(x, 1-tau), constantLike(x, tau)), Square(x))
}

// bellman is what a state and its action are worth: the reward and what comes after.
//
//	next:   [seeds, batch], the worth of the next state
//	result: [seeds, batch]
func bellman(b batch, next *Node, discount float64) *Node {
	return Add(b.rewards, MulScalar(Mul(b.alive, next), discount))
}

// squaredError is the mean over the batch, summed over a seed's critics.
//
//	critics: [seeds·2, batch, 1]
//	target:  [seeds, batch]
//	result:  [seeds]
func squaredError(critics, target *Node) *Node {
	seeds, size := target.Shape().Dim(0), target.Shape().Dim(1)
	difference := Sub(Reshape(critics, seeds, 2, size), BroadcastToDims(InsertAxes(target, 1), seeds, 2, size))
	return MulScalar(ReduceMean(Square(difference), 1, 2), 2)
}

// smaller is the lesser of a seed's two critics.
//
//	critics: [seeds·2, batch, 1]
//	result:  [seeds, batch]
func smaller(critics *Node) *Node {
	nets, size := critics.Shape().Dim(0), critics.Shape().Dim(1)
	both := Reshape(critics, nets/2, 2, size)
	return Min(critic(both, 0), critic(both, 1))
}

// critic is one of two.
//
//	both:   [seeds, 2, batch]
//	result: [seeds, batch]
func critic(both *Node, which int) *Node { return Squeeze(SliceAxis(both, 1, AxisElem(which)), 1) }

// pairs joins observations and actions, the input of a critic.
func pairs(observations, actions *Node) *Node { return Concatenate([]*Node{observations, actions}, -1) }

// column takes off the axis of a net's single output.
func column(x *Node) *Node { return Squeeze(x, -1) }

// perSeed is the mean over the batch.
//
//	x:      [seeds, batch]
//	result: [seeds]
func perSeed(x *Node) *Node { return ReduceMean(x, 1) }

func constantLike(x *Node, value float64) *Node {
	return BroadcastToDims(Scalar(x.Graph(), x.DType(), value), x.Shape().Dimensions...)
}

// scalarOf is a float32 constant of x's graph.
func scalarOf(x *Node, value float64) *Node { return Scalar(x.Graph(), dtypes.Float32, value) }

// cosine falls from 1 to 0 over the steps, along half a wave.
//
//	done: scalar int32
func cosine(done *Node, steps int) *Node {
	angle := MulScalar(ConvertDType(done, dtypes.Float32), math.Pi/float64(steps))
	return MulScalar(AddScalar(Cos(angle), 1), 0.5)
}
