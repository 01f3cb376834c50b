package learners

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training/resumable"
)

// Progress is where a training stands.
type Progress struct {
	Step, Steps int // updates
	// Metrics are the means of the last call's updates, over all seeds.
	Metrics          map[string]float64
	UpdatesPerSecond float64 // in this run; an update of all seeds counts once
}

// Result is what a training came to.
type Result struct {
	Dir         string
	Hash        string // of the policy
	Steps       int
	ResumedFrom int  // update at which an interrupted training went on, 0 if none
	Reused      bool // the finished policy was there already
}

// details is what model.json says of a policy besides.
type details struct {
	Scaling    scaling `json:"scaling"`
	BestReturn float64 `json:"best_return"` // of the episodes that are drawn from
	// Metrics are the means of the last updates: metrics of each seed.
	Metrics map[string][]float64 `json:"metrics"`
}

// Train trains a policy for each seed and writes them to dir, with its curves.
//
// A finished policy of the same configuration, data and backend is reused; an
// unfinished one is resumed. A folder that holds anything else is an error. When ctx
// ends, the training state is saved and the context's error returned. The progress,
// which may be nil, is called after each call of the device.
func Train(ctx context.Context, engine compute.Backend, dir string, cfg Config, data *Data, progress func(Progress)) (Result, error) {
	if err := cfg.Validate(); err != nil {
		return Result{}, err
	}
	if err := data.Validate(); err != nil {
		return Result{}, err
	}
	result, err := trainPolicies(ctx, engine, dir, cfg, data, progress)
	if err != nil {
		return Result{}, fmt.Errorf("learners: %s: %w", cfg.Learner, err)
	}
	return result, nil
}

func trainPolicies(ctx context.Context, engine compute.Backend, dir string, cfg Config, data *Data, progress func(Progress)) (Result, error) {
	identity, err := identify(engine, cfg, data)
	if err != nil {
		return Result{}, err
	}
	t := resumable.Training{
		Dir: dir, Identity: identity, Steps: cfg.Steps, SaveEvery: cfg.SaveEvery,
		Open:       checkpoint.Describe,
		Difference: func(there checkpoint.Identity) string { return difference(there, identity, cfg.Learner) },
		Words:      resumable.Words{Model: "policy", Step: "update", Again: "run it again"},
	}
	outcome, err := t.Run(ctx, func() (resumable.Loop, error) { return newTrainer(engine, dir, cfg, data, progress) })
	if err != nil {
		return Result{}, err
	}
	return Result{Dir: dir, Hash: outcome.Hash, Steps: cfg.Steps, ResumedFrom: outcome.ResumedFrom, Reused: outcome.Reused}, nil
}

// identify says what the weights will be a function of.
func identify(engine compute.Backend, cfg Config, data *Data) (checkpoint.Identity, error) {
	config, err := json.Marshal(cfg)
	if err != nil {
		return checkpoint.Identity{}, fmt.Errorf("encoding the configuration: %w", err)
	}
	kind := backend.XLA
	if backend.IsGo(engine) {
		kind = backend.Go
	}
	return checkpoint.Identity{Config: config, DatasetFingerprint: data.fingerprint(), Seed: cfg.Seeds[0], Backend: kind}, nil
}

// difference says where what is in a folder differs from a training. Another learner
// comes before the parts of the two.
func difference(there, here checkpoint.Identity, learner Learner) string {
	var cfg Config
	if err := json.Unmarshal(there.Config, &cfg); err == nil && cfg.Learner != learner {
		return fmt.Sprintf("learner %s against %s", cfg.Learner, learner)
	}
	return there.Difference(here)
}

// trainer is one training, a resumable.Loop whose steps are updates.
type trainer struct {
	*loop
	dir            string
	observationDim int
	actionDim      int
	progress       func(Progress) // may be nil

	details  details
	recorder *recorder
	pace     resumable.Pace
	saved    saved
}

// saved is what a training knows besides its arrays. It is saved with them.
type saved struct {
	Done int `json:"done"` // updates
}

// newTrainer makes the loop, which has a table of the data's rows: the data itself is
// not kept.
func newTrainer(engine compute.Backend, dir string, cfg Config, data *Data, progress func(Progress)) (*trainer, error) {
	t := &trainer{dir: dir, observationDim: data.ObservationDim, actionDim: data.ActionDim, progress: progress}
	var err error
	if t.details.Scaling, err = data.scaling(cfg); err != nil {
		return nil, err
	}
	t.details.BestReturn = data.bestReturn(cfg.Ratio)
	t.loop, err = newLoop(engine, cfg, data, t.details.Scaling)
	return t, err
}

// Progress is saved with the arrays.
func (t *trainer) Progress() any { return &t.saved }

// Done is how many updates are made.
func (t *trainer) Done() int { return t.saved.Done }

// Begin opens the curves.
func (t *trainer) Begin(pace resumable.Pace) (err error) {
	t.pace = pace
	t.recorder, err = newRecorder(t.dir, t.cfg.Seeds, t.saved.Done)
	return err
}

// End closes the curves.
func (t *trainer) End() error { return t.recorder.close() }

// Advance makes the updates of one call of the graph.
func (t *trainer) Advance() error {
	until := min(t.saved.Done+t.algorithm.perCall(), t.cfg.Steps)
	means, err := t.run(t.saved.Done, until)
	if err != nil {
		return fmt.Errorf("updates %d to %d: %w", t.saved.Done, until, err)
	}
	t.saved.Done = until
	if err := t.record(means); err != nil {
		return err
	}
	if t.progress != nil {
		t.progress(Progress{
			Step: t.saved.Done, Steps: t.cfg.Steps, Metrics: meanOfSeeds(t.details.Metrics),
			UpdatesPerSecond: t.pace.StepsPerSecond(t.saved.Done),
		})
	}
	return nil
}

// record keeps the metrics of the last updates.
//
//	means: [metrics][seeds]
func (t *trainer) record(means [][]float64) error {
	t.details.Metrics = map[string][]float64{}
	for i, metric := range t.algorithm.metrics() {
		t.details.Metrics[metric] = means[i]
	}
	for k, seed := range t.cfg.Seeds {
		point := Point{Step: t.saved.Done, Seed: seed, Metrics: map[string]float64{}}
		for metric, values := range t.details.Metrics {
			if math.IsNaN(values[k]) || math.IsInf(values[k], 0) {
				return fmt.Errorf("%s of seed %d is %v by update %d: try a lower learning rate", metric, seed, values[k], t.saved.Done)
			}
			point.Metrics[metric] = values[k]
		}
		if err := t.recorder.add(point); err != nil {
			return err
		}
	}
	return nil
}

func meanOfSeeds(metrics map[string][]float64) map[string]float64 {
	means := map[string]float64{}
	for name, values := range metrics {
		for _, v := range values {
			means[name] += v / float64(len(values))
		}
	}
	return means
}

// Finish gives the policies, without what is of no use to them.
func (t *trainer) Finish() (checkpoint.Model, []checkpoint.Tensor, error) {
	weights, err := t.Snapshot()
	if err != nil {
		return checkpoint.Model{}, nil, err
	}
	weights = slices.DeleteFunc(weights, func(w checkpoint.Tensor) bool { return ofTraining(w.Name) })
	text, err := json.Marshal(t.details)
	if err != nil {
		return checkpoint.Model{}, nil, fmt.Errorf("encoding the details: %w", err)
	}
	m := checkpoint.Model{Kind: string(t.cfg.Learner), ObservationDim: t.observationDim, ActionDim: t.actionDim, Details: text}
	return m, weights, nil
}

// ofTraining is whether an array is of no use once training is over.
func ofTraining(name string) bool {
	return strings.HasPrefix(name, firstMoment) || strings.HasPrefix(name, secondMoment)
}
