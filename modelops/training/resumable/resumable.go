// Package resumable runs trainings that may be interrupted at any step and then go
// on as if they had not been: what the trainings of DiffStitch's models and those of
// the learners share. It knows nothing of nets, losses or data, which are the Loop's.
//
// A training ends with a finished model in its folder, see package checkpoint. Until
// then the folder has the training's state, written at intervals and when the context
// ends.
package resumable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training/execution"
)

// Training is one model that is to be trained.
type Training struct {
	Dir      string              // folder of the model
	Identity checkpoint.Identity // what the weights are a function of

	Steps     int // optimizer steps in all
	SaveEvery int // steps between saved states

	// Open reads what Dir holds of a finished model, as checkpoint.Describe does.
	Open func(dir string) (checkpoint.Model, string, error)
	// Difference says in words where the identity of what Dir holds differs from this
	// one, and is empty where it does not.
	Difference func(there checkpoint.Identity) string

	Words Words
}

// Words are what errors call things.
type Words struct {
	Model string // such as "model" or "policy"
	Step  string // such as "step" or "update"
	Again string // what to do to go on, such as "run `diffstitch train` again"
}

// Loop makes the optimizer steps of one training.
type Loop interface {
	// Progress points to what is saved of a training besides its arrays, as JSON.
	Progress() any
	// Snapshot copies all arrays: weights, moments, averages.
	Snapshot() ([]checkpoint.Tensor, error)
	// Restore replaces the arrays by those of a Snapshot. Progress is set by then.
	Restore([]checkpoint.Tensor) error

	// Begin comes before the first step of a run, when a saved state is restored.
	Begin(Pace) error
	// Done is how many steps are made, those before an interruption included.
	Done() int
	// Advance makes the next step, or several that go together.
	Advance() error
	// End comes after the last step of a run, whether it failed or not.
	End() error

	// Finish is called once all steps are made. It gives the model, all but its
	// identity, and the weights that are kept.
	Finish() (checkpoint.Model, []checkpoint.Tensor, error)
	// Finalize frees what the loop holds.
	Finalize()
}

// Outcome is what a training came to.
type Outcome struct {
	Model       checkpoint.Model
	Hash        string // of the model
	ResumedFrom int    // step at which an interrupted training went on, 0 if none
	Reused      bool   // the finished model was there already
}

// Run takes the finished model of the folder, if it has the training's identity.
// Otherwise it makes a loop by newLoop and trains, from the first step or from the
// state in the folder, to the finished model on the disk. A folder that holds anything
// else is an error. When ctx ends, the state is saved and the context's error returned.
func (t Training) Run(ctx context.Context, newLoop func() (Loop, error)) (Outcome, error) {
	outcome, err := t.reuse()
	if outcome.Reused || err != nil {
		return outcome, err
	}
	err = execution.Catch(func() error { return t.train(ctx, newLoop, &outcome) })
	return outcome, err
}

// reuse takes a finished model of the same identity.
func (t Training) reuse() (Outcome, error) {
	m, hash, err := t.Open(t.Dir)
	if errors.Is(err, checkpoint.ErrUnfinished) {
		return Outcome{}, nil
	}
	if err != nil {
		return Outcome{}, err
	}
	if d := t.Difference(m.Identity); d != "" {
		return Outcome{}, fmt.Errorf("%s holds a %s trained differently (%s): give another folder, or delete this one", t.Dir, t.Words.Model, d)
	}
	return Outcome{Model: m, Hash: hash, Reused: true}, nil
}

func (t Training) train(ctx context.Context, newLoop func() (Loop, error), outcome *Outcome) error {
	loop, err := newLoop()
	if err != nil {
		return err
	}
	defer loop.Finalize()
	if outcome.ResumedFrom, err = t.resume(loop); err != nil {
		return err
	}
	if err := loop.Begin(Pace{began: loop.Done(), at: time.Now()}); err != nil {
		return err
	}
	if err := errors.Join(t.steps(ctx, loop), loop.End()); err != nil {
		return err
	}
	m, weights, err := loop.Finish()
	if err != nil {
		return err
	}
	m.Identity = t.Identity
	outcome.Model = m
	outcome.Hash, err = checkpoint.Save(t.Dir, m, weights)
	return err
}

// resume takes up the state in the folder, if there is one, and returns the step it
// was saved at.
func (t Training) resume(loop Loop) (int, error) {
	state, found, err := checkpoint.LoadState(t.Dir)
	if err != nil || !found {
		return 0, err
	}
	if d := t.Difference(state.Identity); d != "" {
		return 0, fmt.Errorf("%s holds an unfinished training of something else (%s): give another folder, or delete this one", t.Dir, d)
	}
	if err := json.Unmarshal(state.Progress, loop.Progress()); err != nil {
		return 0, fmt.Errorf("reading the training state of %s: %w", t.Dir, err)
	}
	if err := loop.Restore(state.Variables); err != nil {
		return 0, fmt.Errorf("%s: %w: delete the folder to start over", t.Dir, err)
	}
	return loop.Done(), nil
}

// steps goes on to the last step. It saves at the intervals, and before it returns for
// an ended context.
func (t Training) steps(ctx context.Context, loop Loop) error {
	began := loop.Done()
	for loop.Done() < t.Steps {
		if err := ctx.Err(); err != nil {
			return t.interrupted(err, loop, began)
		}
		before := loop.Done()
		if err := loop.Advance(); err != nil {
			return err
		}
		due := loop.Done()/t.SaveEvery > before/t.SaveEvery
		if due && loop.Done() < t.Steps {
			if err := t.save(loop); err != nil {
				return err
			}
		}
	}
	return nil
}

// interrupted saves the state if there is anything new, and says what to do.
func (t Training) interrupted(cause error, loop Loop, began int) error {
	if loop.Done() > began {
		if err := t.save(loop); err != nil {
			return fmt.Errorf("interrupted at %s %d, and the state could not be saved: %w", t.Words.Step, loop.Done(), err)
		}
	}
	return fmt.Errorf("interrupted at %s %d of %d, %s to resume: %w", t.Words.Step, loop.Done(), t.Steps, t.Words.Again, cause)
}

// save writes the state.
func (t Training) save(loop Loop) error {
	variables, err := loop.Snapshot()
	if err != nil {
		return err
	}
	text, err := json.Marshal(loop.Progress())
	if err != nil {
		return fmt.Errorf("encoding the training state: %w", err)
	}
	return checkpoint.SaveState(t.Dir, checkpoint.State{Identity: t.Identity, Step: loop.Done(), Progress: text, Variables: variables})
}

// Pace is how fast a run goes, which may have begun after the training's first step.
type Pace struct {
	began int // steps made before the run
	at    time.Time
}

// StepsPerSecond is the speed of the run when done steps are made in all.
func (p Pace) StepsPerSecond(done int) float64 {
	return float64(done-p.began) / time.Since(p.at).Seconds()
}
