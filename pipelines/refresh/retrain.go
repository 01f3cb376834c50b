package refresh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/modelset"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/train"
)

// When models are trained on.
const (
	Never    = "never"
	OnDrift  = "drift" // where new episodes are far from what the models learned from
	OnChange = "always"
)

// Policies lists them.
var Policies = []string{Never, OnDrift, OnChange}

// Training says when and how models are trained on.
type Training struct {
	Policy string
	// MaxDistance and MaxError are what Drift may come to before they are, with OnDrift.
	MaxDistance, MaxError float64
	// Steps are optimizer steps of each model where a training goes on from the last one; 0
	// for a quarter of those that the models' configuration says.
	Steps int
}

// DefaultTraining is what flags change. A new day of the same behaviour stays below its
// bounds in the tests.
func DefaultTraining() Training {
	return Training{Policy: Never, MaxDistance: 0.5, MaxError: 1.5}
}

func (t Training) validate() error {
	switch {
	case !slices.Contains(Policies, t.Policy):
		return fmt.Errorf("--retrain %q: it is one of %v", t.Policy, Policies)
	case !(t.MaxDistance > 0) || !(t.MaxError > 0):
		return fmt.Errorf("--drift-distance %g, --drift-error %g: both must be positive", t.MaxDistance, t.MaxError)
	case t.Steps < 0:
		return fmt.Errorf("--retrain-steps %d: a training takes at least one", t.Steps)
	}
	return nil
}

// Retraining is whether models are trained on, and why.
type Retraining struct {
	Policy string `json:"policy"`
	Train  bool   `json:"train"`
	Why    string `json:"why"`
	Drift  *Drift `json:"drift,omitempty"` // where it was measured

	id string // of the set of models that is to follow
}

// words are for a reader.
func (r Retraining) words() string {
	done := "kept"
	if r.Train {
		done = "trained on"
	}
	return done + ": " + r.Why
}

// decide says whether the models are trained on, with what is known of the inputs.
func (o Options) decide(ctx context.Context, p *Plan) (r Retraining, err error) {
	r.Policy = o.Training.Policy
	switch {
	case r.Policy == Never:
		r.Why = "--retrain " + Never
		return r, nil
	case p.Current == "":
		r.Why = "nothing is published yet that the inputs could be compared with"
		return r, nil
	case p.Inputs.same():
		r.Why = "the inputs are as they were"
		return r, nil
	}
	set, err := modelset.Current(o.Augment.Models)
	if err != nil {
		return r, err
	}
	kinds, err := train.Finished(set.Dir)
	if err != nil {
		return r, err
	}
	models, err := session.Describe(set.Dir, kinds)
	if err != nil {
		return r, err
	}
	data, err := o.Augment.Data.Open()
	if err != nil {
		return r, err
	}
	if r.Policy == OnDrift {
		if drifted, err := o.drifted(ctx, p, &r, data, set, models); err != nil || !drifted {
			return r, err
		}
	} else {
		r.Why = "--retrain " + OnChange
	}
	fingerprint, err := train.Fingerprint(ctx, data)
	if err != nil {
		return r, err
	}
	if fingerprint == models.DatasetFingerprint {
		r.Why = "they have learned from this data"
		return r, nil
	}
	r.Train, r.id = true, setID(models, fingerprint, o.Training.Steps)
	return r, nil
}

// drifted measures the new episodes, and says what came of it.
func (o Options) drifted(ctx context.Context, p *Plan, r *Retraining, data input.Dataset, set modelset.Set, models session.Info) (bool, error) {
	var files []int
	for i, path := range data.Input.Files {
		name := below(data.Data.Path, path)
		if slices.Contains(p.Inputs.New, name) || slices.Contains(p.Inputs.Changed, name) {
			files = append(files, i)
		}
	}
	if len(files) == 0 {
		r.Why = "no input is new"
		return false, nil
	}
	run := session.Options{Dir: set.Dir, Backend: o.Augment.Backend, Batch: 1}
	if slices.Contains(models.Kinds, training.Dynamics) {
		run.Kinds = []training.Kind{training.Dynamics}
	}
	drift, err := measure(ctx, data, files, run, models.Models[models.Kinds[0]].Details.Statistics)
	if err != nil {
		return false, err
	}
	r.Drift = &drift
	switch {
	case drift.Distance > o.Training.MaxDistance:
		r.Why = fmt.Sprintf("%s, and --drift-distance is %g", drift.words(), o.Training.MaxDistance)
	case drift.Error != nil && *drift.Error > o.Training.MaxError:
		r.Why = fmt.Sprintf("%s, and --drift-error is %g", drift.words(), o.Training.MaxError)
	default:
		r.Why = drift.words()
		return false, nil
	}
	return true, nil
}

// setID tells trainings apart by what they begin with and what they learn from.
func setID(models session.Info, fingerprint string, steps int) string {
	h := sha256.New()
	fmt.Fprintln(h, models.Hashes(), fingerprint, steps)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// next is a set of models that was trained on and is not in use yet.
type next struct {
	set     modelset.Set // that it is to follow
	id      string
	release func() // lets other trainings in
}

// retrain trains the models on, as far as they are not.
func (o Options) retrain(ctx context.Context, r Retraining, progress func(observe.Progress)) (*next, error) {
	root := o.Augment.Models
	release, err := snapshot.Lock(storage.Join(root, ".lock"), "refresh")
	if err != nil {
		return nil, err
	}
	n := &next{id: r.id, release: release}
	if n.set, err = modelset.Current(root); err == nil {
		_, err = train.Run(ctx, train.Options{
			Data: o.Augment.Data, Models: n.dir(), From: n.set.Dir, Steps: o.Training.Steps, Backend: o.Augment.Backend, Runner: o.Augment.Runner,
		}, progress)
	}
	if err != nil {
		release()
		return nil, err
	}
	return n, nil
}

func (n *next) dir() string { return n.set.Beside(n.id) }

// use has MODELS use the set.
func (n *next) use() error {
	err := n.set.Replace(n.id)
	if errors.Is(err, storage.ErrChanged) {
		return fmt.Errorf("%w: %w", snapshot.ErrOvertaken, err)
	}
	return err
}
