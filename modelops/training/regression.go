package training

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/nets"
	"diffstitch/modelops/random"
)

// regression is the objective of a perceptron: features of a transition in, its
// scaled target out.
type regression struct {
	data    *Data
	mapping mapping
	net     nets.MLPConfig
	members int // nets trained: those that judge, and then those that refine
	judges  int
	// rows are the examples of each part.
	rows [ofRefiners + 1][]example
	// refiners is what those that refine learn from.
	refiners part
}

// part is which nets learn from an episode.
type part uint8

const (
	ofAll    part = iota // held out: no net learns from it, and all are measured on it
	ofJudges             // the members; all nets, where the episodes are not dealt
	ofRefiners
)

// prepareRegressor sets the job up for a perceptron.
func (j *job) prepareRegressor(cfg RegressorConfig, steps int) error {
	if steps > 0 {
		cfg.Steps = steps
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	switch {
	case cfg.Terminals && j.kind != Reward:
		return errors.New("terminals are predicted by the reward model alone")
	case cfg.Refiners > 0 && j.kind != Dynamics:
		return errors.New("bridges are refined by nets of the dynamics alone")
	}
	count := j.data.transitions
	if j.kind == Reward {
		count = func(t Trajectory) int { return len(t.Rewards) }
	}
	var err error
	if j.examples, err = split(j.data, j.seed, count); err != nil {
		return err
	}
	m := newMapping(j.kind, j.details.Statistics, cfg.Terminals)
	j.config, j.schedule = cfg, cfg.Schedule
	objective := &regression{data: j.data, mapping: m, net: cfg.net(m.inputs, m.outputs), members: cfg.Members + cfg.Refiners, judges: cfg.Members}
	objective.deal(j.examples, parts(j, cfg))
	j.objective = objective
	return nil
}

// parts deals the episodes that are learned from to the nets that judge and to those
// that refine, half to each, by generations: what the one learned from the other never
// does. Where there is but one, or nothing to refine with, all learn from all of it:
// nil.
func parts(j *job, cfg RegressorConfig) []part {
	if cfg.Refiners == 0 {
		return nil
	}
	var episodes []int32
	for _, e := range j.examples.train {
		if len(episodes) == 0 || episodes[len(episodes)-1] != e.episode {
			episodes = append(episodes, e.episode)
		}
	}
	if len(episodes) < 2 {
		return nil
	}
	part := make([]part, len(j.data.Trajectories))
	for generation, end := range j.data.generations() {
		n, _ := slices.BinarySearch(episodes, int32(end))
		for i, at := range stream(j.seed, j.kind, partsStream, generation).Perm(n) {
			part[episodes[at]] = ofJudges
			if i%2 == 1 {
				part[episodes[at]] = ofRefiners
			}
		}
		episodes = episodes[n:]
	}
	return part
}

// deal sorts the examples by the part of their episode, of which dealt tells; nil deals
// all to all nets.
func (r *regression) deal(e examples, dealt []part) {
	r.rows[ofAll], r.refiners = e.heldOut, ofJudges
	if dealt == nil {
		r.rows[ofJudges] = e.train
		return
	}
	r.refiners = ofRefiners
	for _, at := range e.train {
		of := dealt[at.episode]
		r.rows[of] = append(r.rows[of], at)
	}
}

// Inputs of one step.
const (
	inFeatures = iota // [members, batch, inputs]
	inTargets         // [members, batch, outputs]
)

// tables is one row per example, features and target, in the order of rows.
func (r *regression) tables() []*tensors.Tensor {
	inputs := r.net.Inputs
	return []*tensors.Tensor{tableOf(slices.Concat(r.rows[:]...), inputs+r.net.Outputs, func(e example, row []float32) {
		r.fill(e, row[:inputs], row[inputs:])
	})}
}

// draw gives each member examples of its own.
func (r *regression) draw(draws *random.Draws, tables []*Node, from side, batch int) []*Node {
	members := make([]*Node, r.members)
	for m := range members {
		of := ofAll
		switch {
		case from == fromTrain && m < r.judges:
			of = ofJudges
		case from == fromTrain:
			of = r.refiners
		}
		begin := 0
		for _, rows := range r.rows[:of] {
			begin += len(rows)
		}
		members[m] = pickRows(draws, tables[0], begin, begin+len(r.rows[of]), batch)
	}
	rows := Stack(members, 0) // [members, batch, inputs+outputs]
	return []*Node{
		inFeatures: SliceAxis(rows, 2, AxisRange(0, r.net.Inputs)),
		inTargets:  SliceAxis(rows, 2, AxisRange(r.net.Inputs)),
	}
}

// fill writes the features and the target of one transition.
func (r *regression) fill(e example, features, target []float32) {
	t, step := &r.data.Trajectories[e.episode], int(e.step)
	stateDim, actionDim := r.data.ObservationDim, r.data.ActionDim
	state := t.States[step*stateDim : (step+1)*stateDim]
	action := t.Actions[step*actionDim : (step+1)*actionDim]
	switch r.mapping.kind {
	case InverseDynamics:
		r.mapping.features(features, state, r.next(e))
		r.mapping.target(target, state, action)
	case Reward:
		r.mapping.features(features, state, action)
		r.mapping.target(target, state, t.outcome(step))
	case Dynamics:
		r.mapping.features(features, state, action)
		r.mapping.target(target, state, r.next(e))
	}
}

// outcome is the reward of a step, and 1 where it ends in a terminal state.
func (t Trajectory) outcome(step int) []float32 {
	terminal := float32(0)
	if t.Terminal && step == len(t.Rewards)-1 {
		terminal = 1
	}
	return []float32{t.Rewards[step], terminal}
}

// next is the state after a transition.
func (r *regression) next(e example) []float32 {
	stateDim := r.data.ObservationDim
	start := (int(e.step) + 1) * stateDim
	return r.data.Trajectories[e.episode].States[start : start+stateDim]
}

func (r *regression) loss(scope *model.Scope, inputs []*Node) *Node {
	losses := make([]*Node, r.members)
	for m := range losses {
		output := nets.MLP(memberScope(scope, m), r.net, member(inputs[inFeatures], m))
		losses[m] = Reshape(r.mapping.loss(output, member(inputs[inTargets], m)), 1)
	}
	return Concatenate(losses, 0)
}

// member is the part of one net: [members, batch, dim] -> [batch, dim].
func member(x *Node, m int) *Node {
	return Squeeze(Slice(x, AxisElem(m)), 0)
}

// memberScope holds the weights of one net.
func memberScope(scope *model.Scope, m int) *model.Scope { return scope.At("member_%d", m) }

// errorQuantiles is the number of quantiles kept of f_ω's error.
const errorQuantiles = 1001

// measure chooses the elites by their loss on the held-out transitions, and
// records the error of the nets in use.
func (r *regression) measure(engine compute.Backend, j *job, weights []checkpoint.Tensor) error {
	cfg := j.config.(RegressorConfig)
	nets, err := newRegressor(engine, j.kind, cfg, j.details.Statistics, upTo(r.members), weights)
	if err != nil {
		return err
	}
	defer nets.Finalize()
	features, targets := r.table(j.examples.heldOut)
	outputs, err := nets.run(features)
	if err != nil {
		return err
	}
	j.details.Elites = r.elites(cfg.Elites, outputs, targets)
	middle := average(outputs, j.details.Elites)
	j.details.HeldOutLoss = r.mapping.hostLoss(middle, targets)
	if math.IsNaN(j.details.HeldOutLoss) {
		return fmt.Errorf("the held-out loss is not a number: try a lower learning rate")
	}
	if j.kind == Dynamics {
		r.measureErrors(j, outputs)
		if err := r.measureActions(nets, j, features, middle); err != nil {
			return err
		}
		if j.details.MaxDisagreement, err = r.maxDisagreement(nets, j); err != nil {
			return err
		}
	}
	if cfg.Terminals {
		j.details.HeldOutTerminals = terminalScore(middle, targets)
	}
	return nil
}

// elites are the best of the nets that judge, by their outputs' loss.
func (r *regression) elites(count int, outputs [][]float32, targets []float32) []int {
	losses, list := make([]float64, r.judges), upTo(r.judges)
	for m := range losses {
		losses[m] = r.mapping.hostLoss(outputs[m], targets)
	}
	slices.SortStableFunc(list, func(a, b int) int {
		switch {
		case losses[a] < losses[b]:
			return -1
		case losses[a] > losses[b]:
			return 1
		}
		return 0
	})
	return slices.Sorted(slices.Values(list[:count]))
}

// upTo lists the numbers [0, n).
func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// measureErrors records the dynamics' error on the held-out transitions, of which the
// nets gave the outputs.
func (r *regression) measureErrors(j *job, outputs [][]float32) {
	heldOut, cfg := j.examples.heldOut, j.config.(RegressorConfig)
	judged := r.errors(heldOut, average(outputs, j.details.Elites))
	j.details.HeldOutError = judged.quantiles()
	means, worst := judged.byEpisode(heldOut)
	j.details.EpisodeError, j.details.StretchError = means.quantiles(), worst.quantiles()
	if cfg.Refiners > 0 {
		j.details.RefinerError = r.errors(heldOut, average(outputs, cfg.refining(nil))).quantiles()
	}
}

// measureActions records what another transition's action changes, features and outputs being
// those of the held-out transitions.
func (r *regression) measureActions(nets *Regressor, j *job, features, outputs []float32) error {
	heldOut, stateDim := j.examples.heldOut, r.data.ObservationDim
	others := slices.Clone(features)
	for i, other := range stream(j.seed, j.kind, actionsStream, 0).Perm(len(heldOut)) {
		row := r.net.Inputs * i
		copy(others[row+stateDim:row+r.net.Inputs], features[other*r.net.Inputs+stateDim:(other+1)*r.net.Inputs])
	}
	all, err := nets.run(others)
	if err != nil {
		return err
	}
	moved := average(all, j.details.Elites)
	effect := transitionErrors{make([]float32, len(heldOut)), make([]float32, len(heldOut))}
	for i, at := range heldOut {
		effect.raw[i], effect.normalized[i] = r.distance(r.predicted(at, outputs[i*stateDim:]), r.predicted(at, moved[i*stateDim:]))
	}
	j.details.ActionEffect = effect.quantiles()
	return nil
}

// predicted is the state after a transition by the dynamics' output.
func (r *regression) predicted(at example, output []float32) []float32 {
	next := make([]float32, r.data.ObservationDim)
	r.mapping.result(next, r.data.Trajectories[at.episode].States[int(at.step)*len(next):], output)
	return next
}

// distance of two states, in the units of the observations and in their spreads.
func (r *regression) distance(a, b []float32) (raw, normalized float32) {
	var squares, scaled float64
	for d := range a {
		difference := float64(a[d]) - float64(b[d])
		squares += difference * difference
		difference /= float64(r.mapping.stats.ObservationScale[d])
		scaled += difference * difference
	}
	return float32(math.Sqrt(squares)), float32(math.Sqrt(scaled))
}

// maxDisagreement is the largest of the elites over the data, held out or not.
func (r *regression) maxDisagreement(nets *Regressor, j *job) (most float64, err error) {
	stateDim := r.data.ObservationDim
	for _, side := range [][]example{j.examples.train, j.examples.heldOut} {
		for part := range slices.Chunk(side, 16*regressorRows) {
			states := make([]float32, 0, len(part)*stateDim)
			for _, e := range part {
				states = append(states, r.data.Trajectories[e.episode].States[int(e.step)*stateDim:(int(e.step)+1)*stateDim]...)
			}
			features, _ := r.table(part)
			outputs, err := nets.run(features)
			if err != nil {
				return 0, err
			}
			elites := make([][]float32, len(j.details.Elites))
			for i, m := range j.details.Elites {
				elites[i] = outputs[m]
			}
			_, disagreement := nets.agree(states, elites)
			most = max(most, float64(slices.Max(disagreement)))
		}
	}
	return most, nil
}

// terminalScore is that of a reward model's outputs, [n, 2].
func terminalScore(outputs, targets []float32) *TerminalScore {
	score := &TerminalScore{}
	for i := terminalOutput; i < len(outputs); i += 2 {
		score.Loss += crossEntropy(float64(outputs[i]), float64(targets[i])) / float64(len(outputs)/2)
		terminal, predicted := targets[i] == 1, outputs[i] > 0
		switch {
		case terminal && predicted:
			score.Terminal++
			score.Found++
		case terminal:
			score.Terminal++
		case predicted:
			score.Mistaken++
		}
	}
	return score
}

// table lists the features and targets of examples, in order.
func (r *regression) table(from []example) (features, targets []float32) {
	features = make([]float32, len(from)*r.net.Inputs)
	targets = make([]float32, len(from)*r.net.Outputs)
	for i, e := range from {
		r.fill(e, features[i*r.net.Inputs:], targets[i*r.net.Outputs:])
	}
	return features, targets
}

// transitionErrors are the dynamics' on some transitions.
type transitionErrors struct {
	raw, normalized []float32 // in the units of ErrorQuantiles
}

// errors are the dynamics', of which outputs are the nets' mean output.
func (r *regression) errors(from []example, outputs []float32) transitionErrors {
	e := transitionErrors{make([]float32, len(from)), make([]float32, len(from))}
	for i, at := range from {
		e.raw[i], e.normalized[i] = r.distance(r.predicted(at, outputs[i*r.data.ObservationDim:]), r.next(at))
	}
	return e
}

// byEpisode are the mean errors of the episodes, whose transitions lie together, and the
// largest of each of their stretches.
func (e transitionErrors) byEpisode(of []example) (means, worst transitionErrors) {
	for begin := 0; begin < len(of); {
		end := begin
		for end < len(of) && of[end].episode == of[begin].episode {
			end++
		}
		raw, normalized := e.raw[begin:end], e.normalized[begin:end]
		means.raw, means.normalized = append(means.raw, mean(raw)), append(means.normalized, mean(normalized))
		worst.raw = append(worst.raw, largest(raw)...)
		worst.normalized = append(worst.normalized, largest(normalized)...)
		begin = end
	}
	return means, worst
}

func mean(values []float32) float32 {
	sum := 0.0
	for _, v := range values {
		sum += float64(v)
	}
	return float32(sum / float64(len(values)))
}

// largest value of each stretch of an episode.
func largest(values []float32) (list []float32) {
	length := min(StretchSteps, len(values))
	for first := range len(values) - length + 1 {
		list = append(list, slices.Max(values[first:first+length]))
	}
	return list
}

// quantiles are those of the errors.
func (e transitionErrors) quantiles() *ErrorQuantiles {
	return &ErrorQuantiles{Raw: quantiles(slices.Clone(e.raw)), Normalized: quantiles(slices.Clone(e.normalized))}
}

// quantiles sorts values and interpolates between them.
func quantiles(values []float32) []float32 {
	slices.Sort(values)
	result := make([]float32, errorQuantiles)
	for i := range result {
		position := float64(i) / (errorQuantiles - 1) * float64(len(values)-1)
		below := int(position)
		above := min(below+1, len(values)-1)
		share := float32(position - float64(below))
		result[i] = values[below]*(1-share) + values[above]*share
	}
	return result
}
