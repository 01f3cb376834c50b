package learners

import (
	"math/rand/v2"

	. "github.com/gomlx/gomlx/core/graph"

	"diffstitch/modelops/checkpoint"
)

// td3bc is TD3 with a behaviour-cloning term: critics that learn from what the
// smoothed target actor does next, and an actor that raises the first critic while it
// stays near the data's actions.
type td3bc struct {
	cfg    Config
	replay replay

	actor, critics             perceptron
	targetActor, targetCritics perceptron
}

func newTD3BC(cfg Config, r replay) *td3bc {
	o, a, hidden := r.observationDim, r.actionDim, cfg.TD3BC.Hidden
	return &td3bc{
		cfg: cfg, replay: r,
		actor:         twoLayers("actor", o, hidden, a, 1),
		critics:       twoLayers("critics", o+a, hidden, 1, 2),
		targetActor:   twoLayers("target_actor", o, hidden, a, 1),
		targetCritics: twoLayers("target_critics", o+a, hidden, 1, 2),
	}
}

func (t *td3bc) first(rng *rand.Rand) []checkpoint.Tensor {
	weights := append(t.actor.first(rng), t.critics.first(rng)...)
	targets := append(renamed(weights, t.actor, t.targetActor), renamed(weights, t.critics, t.targetCritics)...)
	return append(append(weights, moments(weights)...), targets...)
}

func (t *td3bc) metrics() []string { return []string{"critic_loss", "actor_loss"} }

func (t *td3bc) stride() int { return t.cfg.TD3BC.PolicyDelay }

func (t *td3bc) perCall() int { return callUpdates }

func (t *td3bc) update(u *update) {
	b := t.replay.draw(u.table, u.streams, t.cfg.Batch)
	t.learn(u, b, u.streams.normal(t.cfg.Batch, t.replay.actionDim))
}

// learn changes the critics by one batch, and in the last update of a stride the actor
// too.
//
//	noise: [seeds, batch, A], standard normal
func (t *td3bc) learn(u *update, b batch, noise *Node) {
	criticLoss := t.learnCritics(u, b, noise)
	actorLoss := t.actorLoss(u, b)
	if u.last {
		t.learnActor(u, actorLoss)
	}
	u.report(criticLoss, actorLoss)
}

// learnCritics takes one step of the critics.
//
//	noise:  [seeds, batch, A], standard normal
//	result: [seeds], the loss before it
func (t *td3bc) learnCritics(u *update, b batch, noise *Node) *Node {
	cfg := t.cfg.TD3BC
	smoothing := ClipScalar(MulScalar(noise, cfg.PolicyNoise), -cfg.NoiseClip, cfg.NoiseClip)
	action := ClipScalar(Add(Tanh(t.targetActor.apply(u.values, b.next)), smoothing), -1, 1)
	next := smaller(t.targetCritics.apply(u.values, pairs(b.next, action)))
	target := StopGradient(bellman(b, next, cfg.Discount))
	loss := squaredError(t.critics.apply(u.values, pairs(b.observations, b.actions)), target)
	adam{}.step(u.values, u.under(t.critics.name), loss, scalarOf(u.done, t.cfg.LearningRate), AddScalar(u.done, 1))
	return loss
}

// actorLoss is how far the actor is from the data's actions, less what its own are
// worth.
//
//	result: [seeds]
func (t *td3bc) actorLoss(u *update, b batch) *Node {
	actions := t.act(u.values, b.observations)
	critic, values := t.critics.only(u.values, 0)
	worth := column(critic.apply(values, pairs(b.observations, actions))) // [seeds, batch]
	scale := StopGradient(Div(scalarOf(u.done, t.cfg.TD3BC.Alpha), perSeed(Abs(worth))))
	cloning := ReduceMean(Square(Sub(actions, b.actions)), 1, 2)
	return Sub(cloning, Mul(scale, perSeed(worth)))
}

// learnActor takes one step of the actor and of all targets.
//
//	loss: [seeds]
func (t *td3bc) learnActor(u *update, loss *Node) {
	cfg := t.cfg.TD3BC
	count := DivScalar(AddScalar(u.done, 1), cfg.PolicyDelay)
	adam{}.step(u.values, u.under(t.actor.name), loss, scalarOf(u.done, t.cfg.LearningRate), count)
	follow(u.values, t.targetActor, t.actor, cfg.Tau)
	follow(u.values, t.targetCritics, t.critics, cfg.Tau)
}

func (t *td3bc) act(values arrays, observations *Node) *Node {
	return Tanh(t.actor.apply(values, observations))
}
