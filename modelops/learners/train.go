package learners

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training/execution"
)

// Progress is where a training stands.
type Progress struct {
	Step, Steps int // updates
	// Metrics are the means of the last call's updates, over all seeds.
	Metrics          map[string]float64
	UpdatesPerSecond float64 // in this run; all seeds' together are one
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
	t := &trainer{engine: engine, dir: dir, cfg: cfg, data: data, progress: progress}
	result, err := t.train(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("learners: %s: %w", cfg.Learner, err)
	}
	return result, nil
}

// trainer is one training.
type trainer struct {
	engine   compute.Backend
	dir      string
	cfg      Config
	data     *Data
	progress func(Progress)

	identity checkpoint.Identity
	details  details
	loop     *loop
	recorder *recorder
	saved    saved
}

// saved is what a training knows besides its arrays. It is saved with them.
type saved struct {
	Done int `json:"done"` // updates
}

func (t *trainer) train(ctx context.Context) (Result, error) {
	if err := t.identify(); err != nil {
		return Result{}, err
	}
	result := Result{Dir: t.dir, Steps: t.cfg.Steps}
	if reused, err := t.reuse(&result); reused || err != nil {
		return result, err
	}
	err := execution.Catch(func() error { return t.run(ctx, &result) })
	return result, err
}

// identify says what the weights will be a function of.
func (t *trainer) identify() error {
	config, err := json.Marshal(t.cfg)
	if err != nil {
		return fmt.Errorf("encoding the configuration: %w", err)
	}
	kind := backend.XLA
	if backend.IsGo(t.engine) {
		kind = backend.Go
	}
	t.identity = checkpoint.Identity{Config: config, DatasetFingerprint: t.data.fingerprint(), Seed: t.cfg.Seeds[0], Backend: kind}
	return nil
}

// reuse takes a finished policy of the same identity.
func (t *trainer) reuse(result *Result) (bool, error) {
	m, hash, err := checkpoint.Describe(t.dir)
	if errors.Is(err, checkpoint.ErrUnfinished) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if d := t.difference(m.Identity); d != "" {
		return false, fmt.Errorf("%s holds a policy trained differently (%s): give another folder, or delete this one", t.dir, d)
	}
	result.Hash, result.Reused = hash, true
	return true, nil
}

// difference says where what is in the folder differs from this training. Another
// learner comes before the parts of the two.
func (t *trainer) difference(there checkpoint.Identity) string {
	var cfg Config
	if err := json.Unmarshal(there.Config, &cfg); err == nil && cfg.Learner != t.cfg.Learner {
		return fmt.Sprintf("learner %s against %s", cfg.Learner, t.cfg.Learner)
	}
	return there.Difference(t.identity)
}

// run trains from the start, or from the state in the folder, to the finished policy
// on the disk.
func (t *trainer) run(ctx context.Context, result *Result) error {
	var err error
	if t.details.Scaling, err = t.data.scaling(t.cfg); err != nil {
		return err
	}
	t.details.BestReturn = t.data.bestReturn(t.cfg.Ratio)
	if t.loop, err = newLoop(t.engine, t.cfg, t.data, t.details.Scaling); err != nil {
		return err
	}
	defer t.loop.finalize()
	t.data = &Data{ObservationDim: t.data.ObservationDim, ActionDim: t.data.ActionDim} // the loop has a table of its rows
	if result.ResumedFrom, err = t.resume(); err != nil {
		return err
	}
	if t.recorder, err = newRecorder(t.dir, t.cfg.Seeds, t.saved.Done); err != nil {
		return err
	}
	if err := errors.Join(t.updates(ctx), t.recorder.close()); err != nil {
		return err
	}
	result.Hash, err = t.finish()
	return err
}

// resume takes up the training state of the folder, if there is one.
func (t *trainer) resume() (int, error) {
	state, found, err := checkpoint.LoadState(t.dir)
	if err != nil || !found {
		return 0, err
	}
	if d := t.difference(state.Identity); d != "" {
		return 0, fmt.Errorf("%s holds an unfinished training of something else (%s): give another folder, or delete this one", t.dir, d)
	}
	if err := json.Unmarshal(state.Progress, &t.saved); err != nil {
		return 0, fmt.Errorf("reading the training state of %s: %w", t.dir, err)
	}
	if err := t.loop.restore(state.Variables); err != nil {
		return 0, fmt.Errorf("%s: %w: delete the folder to start over", t.dir, err)
	}
	return t.saved.Done, nil
}

// updates goes on to the last update. It saves at the configuration's intervals, and
// before it returns for an ended context.
func (t *trainer) updates(ctx context.Context) error {
	begun, begunAt := t.saved.Done, time.Now()
	for t.saved.Done < t.cfg.Steps {
		if err := ctx.Err(); err != nil {
			return t.interrupted(err, begun)
		}
		before := t.saved.Done
		if err := t.call(); err != nil {
			return err
		}
		if t.progress != nil {
			t.progress(Progress{
				Step: t.saved.Done, Steps: t.cfg.Steps, Metrics: meanOfSeeds(t.details.Metrics),
				UpdatesPerSecond: float64(t.saved.Done-begun) / time.Since(begunAt).Seconds(),
			})
		}
		if t.saved.Done/t.cfg.SaveEvery > before/t.cfg.SaveEvery && t.saved.Done < t.cfg.Steps {
			if err := t.save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// call makes the updates of one call of the graph.
func (t *trainer) call() error {
	until := min(t.saved.Done+t.loop.algorithm.perCall(), t.cfg.Steps)
	means, err := t.loop.run(t.saved.Done, until)
	if err != nil {
		return fmt.Errorf("updates %d to %d: %w", t.saved.Done, until, err)
	}
	t.saved.Done = until
	return t.record(means)
}

// record keeps the metrics of the last updates.
//
//	means: [metrics][seeds]
func (t *trainer) record(means [][]float64) error {
	t.details.Metrics = map[string][]float64{}
	for i, metric := range t.loop.algorithm.metrics() {
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

// interrupted saves the state if there is anything new, and says what to do.
func (t *trainer) interrupted(cause error, begun int) error {
	if t.saved.Done > begun {
		if err := t.save(); err != nil {
			return fmt.Errorf("interrupted at update %d, and the state could not be saved: %w", t.saved.Done, err)
		}
	}
	return fmt.Errorf("interrupted at update %d of %d, run it again to resume: %w", t.saved.Done, t.cfg.Steps, cause)
}

// save writes the training state.
func (t *trainer) save() error {
	variables, err := t.loop.snapshot()
	if err != nil {
		return err
	}
	text, err := json.Marshal(t.saved)
	if err != nil {
		return fmt.Errorf("encoding the training state: %w", err)
	}
	return checkpoint.SaveState(t.dir, checkpoint.State{Identity: t.identity, Step: t.saved.Done, Progress: text, Variables: variables})
}

// finish writes the policy.
func (t *trainer) finish() (hash string, err error) {
	weights, err := t.loop.snapshot()
	if err != nil {
		return "", err
	}
	weights = slices.DeleteFunc(weights, func(w checkpoint.Tensor) bool { return ofTraining(w.Name) })
	text, err := json.Marshal(t.details)
	if err != nil {
		return "", fmt.Errorf("encoding the details: %w", err)
	}
	return checkpoint.Save(t.dir, checkpoint.Model{
		Kind: string(t.cfg.Learner), ObservationDim: t.data.ObservationDim, ActionDim: t.data.ActionDim,
		Identity: t.identity, Details: text,
	}, weights)
}

// ofTraining is whether an array is of no use once training is over.
func ofTraining(name string) bool {
	return strings.HasPrefix(name, firstMoment) || strings.HasPrefix(name, secondMoment)
}
