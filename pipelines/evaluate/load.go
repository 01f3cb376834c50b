package evaluate

import (
	"context"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/learners"
	"diffstitch/pipelines/input"
)

// load reads the whole dataset into memory. Augmented are the rows of every
// source but the original one.
func load(ctx context.Context, d input.Dataset, learner learners.Learner) (*learners.Data, error) {
	data := &learners.Data{ObservationDim: d.Shape.ObservationDim, ActionDim: d.Shape.ActionDim}
	_, err := d.Each(ctx, func(e *trajectory.Episode) error {
		add(data, e, learner)
		return nil
	})
	return data, err
}

// add adds an episode, less a last transition whose next observation is not
// known and matters: as in D4RL's qlearning_dataset. To a Decision Transformer none
// matters.
func add(data *learners.Data, e *trajectory.Episode, learner learners.Learner) {
	n := e.Len()
	_, known := e.KnownNext(n - 1)
	if !known && e.End != trajectory.Terminal && learner != learners.DT { // after a terminal one nothing is learnt from it
		n--
	}
	if n == 0 {
		return
	}
	data.Starts = append(data.Starts, len(data.Rewards))
	for step := range n {
		next, known := e.KnownNext(step)
		if !known {
			next = e.Observation(step)
		}
		data.Observations = append(data.Observations, e.Observation(step)...)
		data.Actions = append(data.Actions, e.Action(step)...)
		data.Rewards = append(data.Rewards, e.Rewards[step])
		data.Next = append(data.Next, next...)
		data.Terminals = append(data.Terminals, step == e.Len()-1 && e.End == trajectory.Terminal)
		data.Augmented = append(data.Augmented, e.Provenance != nil)
	}
}
