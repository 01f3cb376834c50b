// Package session runs the four trained models of a folder on batches of any
// size. A session is compiled once a process and shared by all who ask for the
// same one; it takes and gives flat float32 arrays in the units of the data.
package session

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
)

// Options say which models to run, and how.
type Options struct {
	Dir     string // the folder that holds the four models' folders
	Backend string // auto, go or xla
	Batch   int    // windows in one call of the sampler
	Sampler diffusion.Sampler
	// Return is what a denoiser guided by the return aims at, from 0 to 1, the
	// highest in the data. Others ignore it.
	Return float32
}

// Session holds the compiled models. Its methods are safe for concurrent use.
type Session struct {
	info    Info
	engine  compute.Backend
	sampler *sampler
	inverse *training.Regressor
	reward  *training.Regressor
	dynamic *training.Regressor

	key key
}

// key tells sessions apart: the options and what the files hold.
type key struct {
	options Options
	hashes  [4]string
}

// shared is a session in use, or one that is being opened.
type shared struct {
	users   int
	open    sync.Once
	session *Session
	err     error
}

var (
	cacheMutex sync.Mutex
	cache      = map[key]*shared{}
)

// Shared opens the session of the options, or returns the one that is open. Each
// successful call needs one Release.
func Shared(opts Options) (*Session, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	opts.Dir = dir
	info, err := Describe(dir)
	if err != nil {
		return nil, err
	}
	k := key{options: opts}
	for i, kind := range training.Kinds {
		k.hashes[i] = info.Models[kind].Hash
	}
	entry := enter(k)
	entry.open.Do(func() { entry.session, entry.err = open(k, info) })
	if entry.err != nil {
		leave(k)
		return nil, entry.err
	}
	return entry.session, nil
}

// enter counts a user of the entry, which it makes if there is none.
func enter(k key) *shared {
	cacheMutex.Lock()
	defer cacheMutex.Unlock()
	entry, found := cache[k]
	if !found {
		entry = &shared{}
		cache[k] = entry
	}
	entry.users++
	return entry
}

// leave takes a user off, and returns the session when that was the last one.
func leave(k key) *Session {
	cacheMutex.Lock()
	defer cacheMutex.Unlock()
	entry, found := cache[k]
	if !found {
		return nil
	}
	if entry.users--; entry.users > 0 {
		return nil
	}
	delete(cache, k)
	return entry.session
}

// Release gives the session back. The last user's frees what it holds.
func (s *Session) Release() {
	if last := leave(s.key); last != nil {
		last.finalize()
	}
}

func (s *Session) finalize() {
	if s.sampler != nil {
		s.sampler.finalize()
	}
	for _, r := range []*training.Regressor{s.inverse, s.reward, s.dynamic} {
		if r != nil {
			r.Finalize()
		}
	}
}

// open loads and compiles the four models.
func open(k key, info Info) (*Session, error) {
	if k.options.Batch < 1 {
		return nil, fmt.Errorf("session: batch %d must be at least 1", k.options.Batch)
	}
	engine, backendInfo, err := backend.Open(k.options.Backend)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	info.Backend = backendInfo
	s := &Session{info: info, engine: engine, key: k}
	if err := s.load(); err != nil {
		s.finalize()
		return nil, fmt.Errorf("session: opening the models of %s: %w", k.options.Dir, err)
	}
	return s, nil
}

func (s *Session) load() error {
	for i, kind := range training.Kinds {
		m, hash, weights, err := checkpoint.Open(filepath.Join(s.key.options.Dir, string(kind)))
		if err != nil {
			return err
		}
		if hash != s.key.hashes[i] {
			return fmt.Errorf("the %s model was replaced while it was read: try again", kind)
		}
		switch kind {
		case training.Denoiser:
			s.sampler, err = newSampler(s.engine, s.key.options, m, weights)
		case training.InverseDynamics:
			s.inverse, err = training.NewRegressor(s.engine, m, weights)
		case training.Reward:
			s.reward, err = training.NewRegressor(s.engine, m, weights)
		case training.Dynamics:
			s.dynamic, err = training.NewRegressor(s.engine, m, weights)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Info describes the models.
func (s *Session) Info() Info { return s.info }

// Sample completes windows by reverse diffusion. Any number of windows goes; they
// are cut into batches of the session's size, and the last one is padded.
//
//	known:  [n, H, S], read where known
//	mask:   [n, H], 1 = known
//	seeds:  [n], the random stream of each window
//	result: [n, H, S], known states as they were, to the bit
//
// With DDIM a window depends on its own seed alone; DDPM draws its fresh noise
// for a batch, from the seeds of all its windows.
func (s *Session) Sample(known, mask []float32, seeds []uint64) ([]float32, error) {
	states, err := s.sampler.sample(known, mask, seeds)
	if err != nil {
		return nil, fmt.Errorf("session: sampling %d windows: %w", len(seeds), err)
	}
	return states, nil
}

// InverseDynamics infers the actions between states, f_ψ. They may lie outside of
// the data's range.
//
//	states, next: [n, S]
//	result:       [n, A]
func (s *Session) InverseDynamics(states, next []float32) ([]float32, error) {
	actions, _, err := s.inverse.Predict(states, next)
	return actions, wrap(err)
}

// Rewards infers rewards, f_ϕ.
//
//	states:  [n, S]
//	actions: [n, A]
//	result:  [n]
func (s *Session) Rewards(states, actions []float32) ([]float32, error) {
	results, _, err := s.reward.Predict(states, actions)
	if s.info.Terminals {
		results = everySecond(results, 0)
	}
	return results, wrap(err)
}

// Terminals predicts how likely each step ends in a terminal state. It fails
// where f_ϕ was not trained to, see Info.
//
//	states:  [n, S]
//	actions: [n, A]
//	result:  [n], probabilities
func (s *Session) Terminals(states, actions []float32) ([]float32, error) {
	if !s.info.Terminals {
		return nil, fmt.Errorf("session: the reward model of %s does not predict terminal states: train with the preset reference", s.key.options.Dir)
	}
	results, _, err := s.reward.Predict(states, actions)
	return everySecond(results, 1), wrap(err)
}

// everySecond value of pairs, the first or the second of each.
func everySecond(pairs []float32, which int) []float32 {
	values := make([]float32, len(pairs)/2)
	for i := range values {
		values[i] = pairs[2*i+which]
	}
	return values
}

// Dynamics predicts next states, f_ω, as the mean of the ensemble's elites. Their
// disagreement is, for each row, the largest L2 distance of one from that mean,
// in the units of the observations; 0 where there is but one net.
//
//	states:       [n, S]
//	actions:      [n, A]
//	next:         [n, S]
//	disagreement: [n]
func (s *Session) Dynamics(states, actions []float32) (next, disagreement []float32, err error) {
	next, disagreement, err = s.dynamic.Predict(states, actions)
	return next, disagreement, wrap(err)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("session: %w", err)
}

// errDisagree is wrapped by the errors about models that do not belong together.
var errDisagree = errors.New("the models do not belong together")
