package training

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/edm"
	"diffstitch/modelops/random"
)

// Layout is how a transition lies in a row of SynthER's denoiser:
// (s, a, r, s′, terminal), each scaled by the data's moments but for the last,
// which is 0 or 1.
type Layout struct{ stats Statistics }

// NewLayout is that of models trained on data of these statistics.
func NewLayout(stats Statistics) Layout { return Layout{stats} }

// Width of a row.
func (l Layout) Width() int { return 2*len(l.stats.ObservationMean) + len(l.stats.ActionMean) + 2 }

// encode writes the row of a transition.
func (l Layout) encode(row, state, action []float32, reward float32, next []float32, terminal bool) {
	stateDim, actionDim := len(state), len(action)
	standardize(row, state, l.stats.ObservationMean, l.stats.ObservationScale)
	standardize(row[stateDim:], action, l.stats.ActionMean, l.stats.ActionScale)
	row[stateDim+actionDim] = (reward - l.stats.RewardMean) / l.stats.RewardScale
	standardize(row[stateDim+actionDim+1:], next, l.stats.ObservationMean, l.stats.ObservationScale)
	row[len(row)-1] = 0
	if terminal {
		row[len(row)-1] = 1
	}
}

// Transitions are n transitions, one array per column.
type Transitions struct {
	States    []float32 // [n, S]
	Actions   []float32 // [n, A]
	Rewards   []float32 // [n]
	Next      []float32 // [n, S], the states after
	Terminals []bool    // [n], whether the state after is terminal
}

// terminalThreshold is SynthER's.
const terminalThreshold = 0.5

// Decode reads rows, [n, width]. Actions are clipped to the data's range. Dimensions
// of the states that never vary have the data's value, and those that no step changes
// are in s′ as in s.
func (l Layout) Decode(rows []float32) Transitions {
	stateDim, actionDim, width := len(l.stats.ObservationMean), len(l.stats.ActionMean), l.Width()
	n := len(rows) / width
	t := Transitions{
		States: make([]float32, n*stateDim), Actions: make([]float32, n*actionDim), Rewards: make([]float32, n),
		Next: make([]float32, n*stateDim), Terminals: make([]bool, n),
	}
	for i := range n {
		row := rows[i*width : (i+1)*width]
		restore(t.States[i*stateDim:], row, l.stats.ObservationMean, l.stats.ObservationScale)
		action := t.Actions[i*actionDim : (i+1)*actionDim]
		restore(action, row[stateDim:], l.stats.ActionMean, l.stats.ActionScale)
		clamp(action, l.stats.ActionLow, l.stats.ActionHigh)
		t.Rewards[i] = row[stateDim+actionDim]*l.stats.RewardScale + l.stats.RewardMean
		restore(t.Next[i*stateDim:], row[stateDim+actionDim+1:], l.stats.ObservationMean, l.stats.ObservationScale)
		t.Terminals[i] = row[width-1] > terminalThreshold
		l.pin(t.States[i*stateDim:(i+1)*stateDim], t.Next[i*stateDim:])
	}
	return t
}

// pin keeps the dimensions that no step changes.
func (l Layout) pin(state, next []float32) {
	for _, d := range l.stats.Constant {
		state[d] = l.stats.ObservationMean[d]
		next[d] = state[d]
	}
	for _, d := range l.stats.EpisodeConstant {
		next[d] = state[d]
	}
}

// restore undoes standardize.
func restore(dst, src, mean, scale []float32) {
	for d := range mean {
		dst[d] = src[d]*scale[d] + mean[d]
	}
}

func clamp(values, low, high []float32) {
	for d := range values {
		values[d] = min(max(values[d], low[d]), high[d])
	}
}

// synthesis is the objective of SynthER's denoiser of transitions.
type synthesis struct {
	data     *Data
	layout   Layout
	config   edm.Config
	examples examples
}

// prepareSynthER sets the job up for the denoiser of transitions.
func (j *job) prepareSynthER(cfg SynthERConfig, steps int) error {
	if steps > 0 {
		cfg.Steps = steps
	}
	layout := NewLayout(j.details.Statistics)
	cfg.Diffusion.Net.Dim = layout.Width()
	if err := cfg.Validate(); err != nil {
		return err
	}
	var err error
	if j.examples, err = split(j.data, j.seed, j.data.transitions); err != nil {
		return err
	}
	j.config, j.schedule = cfg, cfg.Schedule
	j.objective = &synthesis{data: j.data, layout: layout, config: cfg.Diffusion, examples: j.examples}
	return nil
}

// Inputs of one step.
const (
	inRow   = iota // [batch, width], noisy
	inLevel        // [batch]
	inRight        // [batch, width], what the net should put out
)

// tables is one row per example.
func (s *synthesis) tables() []*tensors.Tensor {
	stateDim, actionDim := s.data.ObservationDim, s.data.ActionDim
	return []*tensors.Tensor{tableOf(s.examples.all(), s.layout.Width(), func(e example, row []float32) {
		t, step := &s.data.Trajectories[e.episode], int(e.step)
		outcome := t.outcome(step)
		s.layout.encode(row, t.States[step*stateDim:(step+1)*stateDim], t.Actions[step*actionDim:(step+1)*actionDim],
			outcome[0], t.States[(step+1)*stateDim:(step+2)*stateDim], outcome[terminalOutput] == 1)
	})}
}

func (s *synthesis) draw(draws *random.Draws, tables []*Node, from side, batch int) []*Node {
	input, level, right := edm.Noise(draws, s.examples.pick(draws, tables[0], from, batch))
	return []*Node{inRow: input, inLevel: level, inRight: right}
}

func (s *synthesis) loss(scope *model.Scope, inputs []*Node) *Node {
	return Reshape(edm.Loss(scope, s.config, inputs[inRow], inputs[inLevel], inputs[inRight]), 1)
}
