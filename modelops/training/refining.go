package training

import (
	"fmt"

	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/refinement"
	"diffstitch/modelops/training/execution"
)

// Refining are the nets of a dynamics model that refine bridges.
type Refining struct {
	Statistics Statistics
	// Still is which dimensions of the states no step changes, [S].
	Still []bool
	// Error is theirs on held-out transitions.
	Error ErrorQuantiles

	config  RegressorConfig
	members []int
}

// NewRefining describes those of a trained model.
func NewRefining(m checkpoint.Model) (Refining, error) {
	var cfg RegressorConfig
	var details Details
	if err := m.Decode(&cfg, &details); err != nil {
		return Refining{}, fmt.Errorf("training: %w", err)
	}
	r := Refining{Statistics: details.Statistics, Still: details.Statistics.still(), config: cfg, members: cfg.refining(details.Elites)}
	switch {
	case details.RefinerError != nil:
		r.Error = *details.RefinerError
	case details.HeldOutError != nil:
		r.Error = *details.HeldOutError
	}
	return r, nil
}

// Dynamics are the nets in a graph, whose weights are below WeightsScope.
func (r Refining) Dynamics(scope *model.Scope) refinement.Dynamics {
	stats := r.Statistics
	stateDim, actionDim := len(stats.ObservationMean), len(stats.ActionMean)
	d := refinement.Dynamics{
		Net:   r.config.net(stateDim+actionDim, stateDim),
		Ratio: make([]float32, stateDim), Middle: make([]float32, actionDim), Half: make([]float32, actionDim),
	}
	for _, m := range r.members {
		d.Nets = append(d.Nets, memberScope(scope.At(execution.WeightsScope), m))
	}
	for i := range d.Ratio {
		if !r.Still[i] {
			d.Ratio[i] = stats.DeltaScale[i] / stats.ObservationScale[i]
		}
	}
	for i := range d.Middle {
		middle, half := stats.actionSpan(i)
		d.Middle[i] = (middle - stats.ActionMean[i]) / stats.ActionScale[i]
		d.Half[i] = half / stats.ActionScale[i]
	}
	return d
}
