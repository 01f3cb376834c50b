package session

import (
	"fmt"
	"sync"
	"time"

	"github.com/gomlx/compute"

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

// open loads the models that have a hash and runs each once, so that the first batch takes no
// longer than others: nothing is compiled later.
func open(k key, dir string) (_ *modelSet, loads []Load, err error) {
	m := &modelSet{regressors: map[training.Kind]*training.Regressor{}}
	defer func() {
		if err != nil {
			m.finalize()
		}
	}()
	for i, kind := range training.Kinds {
		if k.hashes[i] == "" {
			continue
		}
		start := time.Now()
		saved, hash, weights, err := checkpoint.Open(checkpoint.Join(dir, string(kind)))
		if err != nil {
			return nil, nil, err
		}
		if hash != k.hashes[i] {
			return nil, nil, replaced(dir, kind, hash, k.hashes[i])
		}
		if err := m.load(k, kind, saved, weights); err != nil {
			return nil, nil, err
		}
		loads = append(loads, Load{Kind: kind, Took: time.Since(start), Bytes: bytes(weights)})
	}
	return m, loads, nil
}

// load puts one model on the device.
func (m *modelSet) load(k key, kind training.Kind, saved checkpoint.Model, weights []checkpoint.Tensor) error {
	switch kind {
	case training.Denoiser:
		s, err := newSampler(k, saved, weights)
		if err != nil {
			return err
		}
		m.sampler = s
		if k.peaks {
			if m.peaks, err = newPeaks(k, s.states, PeakWidth(saved.ObservationDim)); err != nil {
				return err
			}
		}
		return s.warm(s.prepare)
	case training.SynthER:
		s, err := newSynthesizer(k, saved, weights)
		if err != nil {
			return err
		}
		m.synthesizer = s
		return s.warm(s.prepare)
	}
	if kind == training.RolloutPolicy {
		p, err := training.NewPolicy(k.engine, saved, weights)
		if err != nil {
			return err
		}
		m.policy = p
		return p.Warm()
	}
	r, err := training.NewRegressor(k.engine, saved, weights)
	if err != nil {
		return err
	}
	m.regressors[kind] = r
	if err := r.Warm(); err != nil || kind != training.Dynamics || !k.refine {
		return err
	}
	return m.loadRefiners(k, saved, weights)
}

// loadRefiners compiles the refinement of short bridges and of the longest.
func (m *modelSet) loadRefiners(k key, saved checkpoint.Model, weights []checkpoint.Tensor) error {
	for _, transitions := range m.stretches() {
		r, err := newRefiner(k, saved, weights, transitions)
		if err != nil {
			return err
		}
		m.refiners = append(m.refiners, r)
		if err := r.prepare(); err != nil {
			return err
		}
	}
	return nil
}

// stretches are the most transitions of a bridge that is refined, as the graphs are
// compiled for: those of most bridges, and those of the longest.
func (m *modelSet) stretches() []int {
	longest := m.sampler.states - 1 + Extras[len(Extras)-1]
	if longest <= shortStretch {
		return []int{longest}
	}
	return []int{shortStretch, longest}
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
