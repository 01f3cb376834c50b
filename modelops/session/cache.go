package session

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training"
)

// modelSet is models on a device; what is not run is nil.
type modelSet struct {
	sampler     *sampler
	synthesizer *synthesizer
	policy      *training.Policy
	regressors  map[training.Kind]*training.Regressor
	refiners    []*refiner // from the shortest stretches to the longest
	peaks       *peaks

	adding sync.Mutex // of regressors
}

// resident is a set of models that is on its device, is being loaded there or is
// held for when it will be.
type resident struct {
	key     key
	loading sync.Mutex
	models  *modelSet // nil until loaded; set under loading, by one of the calls

	// Both are under residentsMutex.
	calls, holds int
}

// One set stays on each device when nobody uses it: the latest that was entered.
// Runners make and forget DoFn instances, and Beam's Go harness tears none down, so
// it is calls in progress that count, and what a driver holds.
var (
	residentsMutex sync.Mutex
	residents      = map[key]*resident{}
	latest         = map[compute.Backend]*resident{}
)

// enter counts a call of the set, and makes room for it: idle sets that nobody
// holds leave its device.
func enter(k key) *resident {
	residentsMutex.Lock()
	defer residentsMutex.Unlock()
	r := find(k)
	r.calls++
	if latest[k.engine] != r {
		latest[k.engine] = r
		clearOut(k.engine)
	}
	return r
}

// leave takes the call off.
func leave(r *resident) {
	residentsMutex.Lock()
	defer residentsMutex.Unlock()
	r.calls--
	clearOut(r.key.engine)
}

// hold counts somebody who wants the set to stay.
func hold(k key) (release func()) {
	residentsMutex.Lock()
	defer residentsMutex.Unlock()
	r := find(k)
	r.holds++
	return sync.OnceFunc(func() {
		residentsMutex.Lock()
		defer residentsMutex.Unlock()
		r.holds--
		clearOut(k.engine)
	})
}

// forget makes all the room there is on a device.
func forget(engine compute.Backend) {
	residentsMutex.Lock()
	defer residentsMutex.Unlock()
	delete(latest, engine)
	clearOut(engine)
}

func find(k key) *resident {
	r, found := residents[k]
	if !found {
		r = &resident{key: k}
		residents[k] = r
	}
	return r
}

// clearOut frees the sets of a device that nobody uses or holds, but for the latest
// if it is loaded.
func clearOut(engine compute.Backend) {
	for k, r := range residents {
		stays := r == latest[engine] && r.models != nil
		if k.engine != engine || r.calls > 0 || r.holds > 0 || stays {
			continue
		}
		delete(residents, k)
		if r == latest[engine] {
			delete(latest, engine)
		}
		if r.models != nil {
			r.models.finalize()
		}
	}
}

// open loads the models that have a hash, compiles them side by side and runs each once, so
// that the first batch takes no longer than others: nothing is compiled later.
func open(k key, dir string, horizon int) (_ *modelSet, loads []Load, err error) {
	m := &modelSet{regressors: map[training.Kind]*training.Regressor{}}
	defer func() {
		if err != nil {
			m.finalize()
		}
	}()
	for i, kind := range training.Kinds {
		if k.hashes[i] != "" {
			loads = append(loads, Load{Kind: kind})
		}
	}
	failures := make([]error, len(loads))
	var all sync.WaitGroup
	for i := range loads {
		load := func() { failures[i] = loads[i].time(func() error { return m.load(k, dir, horizon, &loads[i]) }) }
		if backend.IsGo(k.engine) { // where compiling is quick, and reading is bounded by the disk
			load()
		} else {
			all.Go(load)
		}
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, nil, err
	}
	for i := range loads { // one after the other, for the sake of the device's memory
		if err := loads[i].time(func() error { return m.warm(loads[i].Kind) }); err != nil {
			return nil, nil, err
		}
	}
	return m, loads, nil
}

// time adds what something takes.
func (l *Load) time(do func() error) error {
	start := time.Now()
	defer func() { l.Took += time.Since(start) }()
	return do()
}

// load reads one model and compiles it.
func (m *modelSet) load(k key, dir string, horizon int, l *Load) error {
	saved, hash, weights, err := checkpoint.Open(checkpoint.Join(dir, string(l.Kind)))
	if err != nil {
		return err
	}
	if want := k.hashes[slices.Index(training.Kinds, l.Kind)]; hash != want {
		return replaced(dir, l.Kind, hash, want)
	}
	l.Bytes = bytes(weights)
	switch l.Kind {
	case training.Denoiser:
		return m.loadSampler(k, saved, weights, horizon)
	case training.SynthER:
		s, err := newSynthesizer(k, saved, weights)
		if err != nil {
			return err
		}
		m.synthesizer = s
		_ = s.compile(k.batch) // as that of the sampler
		return nil
	case training.RolloutPolicy:
		m.policy, err = training.NewPolicy(k.engine, saved, weights)
		return err
	}
	if l.Kind == training.Dynamics && k.refine {
		if m.refiners, err = newRefiners(k, saved, weights, horizon); err != nil {
			return err
		}
	}
	r, err := training.NewRegressor(k.engine, saved, weights)
	if err != nil {
		return err
	}
	m.adding.Lock()
	defer m.adding.Unlock()
	m.regressors[l.Kind] = r
	return nil
}

func (m *modelSet) loadSampler(k key, saved checkpoint.Model, weights []checkpoint.Tensor, horizon int) error {
	s, err := newSampler(k, saved, weights)
	if err != nil {
		return err
	}
	m.sampler = s
	_ = s.compile(k.batch) // warm compiles again where this fails, with less where memory lacks
	if !k.peaks {
		return nil
	}
	p, err := newPeaks(k, horizon, PeakWidth(saved.ObservationDim))
	if err != nil {
		return err
	}
	m.peaks = p
	return nil
}

// warm runs one model once.
func (m *modelSet) warm(kind training.Kind) error {
	switch kind {
	case training.Denoiser:
		if m.peaks != nil {
			if err := m.peaks.prepare(); err != nil {
				return err
			}
		}
		return m.sampler.warm(m.sampler.prepare)
	case training.SynthER:
		return m.synthesizer.warm(m.synthesizer.prepare)
	case training.RolloutPolicy:
		return m.policy.Warm()
	case training.Dynamics:
		for _, r := range m.refiners {
			if err := r.prepare(); err != nil {
				return err
			}
		}
	}
	return m.regressors[kind].Warm()
}

// halvingsAtLoad is how often batches were halved before the first one.
func (m *modelSet) halvingsAtLoad() (halvings int) {
	if m.sampler != nil {
		halvings += m.sampler.halvingsAtLoad
	}
	if m.synthesizer != nil {
		halvings += m.synthesizer.halvingsAtLoad
	}
	return halvings
}

func bytes(weights []checkpoint.Tensor) (sum int64) {
	for _, w := range weights {
		sum += 4 * int64(len(w.Data))
	}
	return sum
}

func (m *modelSet) finalize() {
	if m.sampler != nil {
		m.sampler.Finalize()
	}
	if m.synthesizer != nil {
		m.synthesizer.Finalize()
	}
	if m.policy != nil {
		m.policy.Finalize()
	}
	for _, r := range m.regressors {
		r.Finalize()
	}
	for _, r := range m.refiners {
		r.Finalize()
	}
	if m.peaks != nil {
		m.peaks.Finalize()
	}
}

// checkHashes compares the models with those of a run.
func (i Info) checkHashes(dir string, want Hashes) error {
	got := i.Hashes()
	for n, kind := range training.Kinds {
		if got[n] != want[n] {
			return replaced(dir, kind, got[n], want[n])
		}
	}
	return nil
}

// replaced says that a model is another than the run's.
func replaced(dir string, kind training.Kind, got, want string) error {
	return fmt.Errorf("%w while the run used them: the %s model in %s is %.12s, the run began with %.12s: start the run again, and publish new models in a folder of their own while one is on",
		ErrReplaced, kind, dir, got, want)
}
