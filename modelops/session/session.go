// Package session runs the trained models of a folder on batches of any
// size. The models are loaded and compiled once per process and shared by all who
// ask for the same ones; a session takes and gives flat float32 arrays in the units
// of the data.
//
// It trains nothing, and knows nothing of Beam: transforms/inference gives its
// sessions to DoFns. Learned policies are opened by package learners.
package session

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
	"diffstitch/modelops/training/execution"
)

// Hashes are those of the models, in the order of training.Kinds; "" of those that
// are not run.
type Hashes [6]string

// Options say which models to run, and how.
type Options struct {
	Dir string // the folder that holds the models' folders
	// Kinds are the models to run; none means DiffStitch's.
	Kinds   []training.Kind `json:",omitempty"`
	Backend string          // auto, go or xla
	// Precision of matrix products and convolutions; "" is backend.PrecisionAuto.
	Precision backend.Precision `json:",omitempty"`
	Batch     int               // windows whose noise is drawn together, or transitions
	Sampler   diffusion.Sampler
	// Steps are those of SynthER's sampler; 0 takes as many as the model says.
	Steps int
	// Return is what a denoiser guided by the return aims at, from 0 to 1, the
	// highest in the data. Others ignore it.
	Return float32
	// Refine makes ready to refine bridges.
	Refine bool `json:",omitempty"`
	// Peaks makes ready to compare many states with those imagined.
	Peaks bool `json:",omitempty"`
	// Concurrency is how many calls may run on the device at once, of all the
	// process's sessions; 0 means 1. On the pure-Go backend it is always 1.
	Concurrency int
	// Hashes, where set, are those that the models must have, so that all workers
	// of a run run the same.
	Hashes Hashes
}

// Errors that are no fault of the input: of the models' files, or of the device.
var (
	// ErrUnavailable is wrapped by all of them.
	ErrUnavailable = errors.New("the models cannot run")
	// ErrReplaced is wrapped, too, where the models are not those of Options.Hashes.
	ErrReplaced = errors.New("the models were replaced")
	// ErrOutOfMemory is wrapped, too, where the device has no memory for a single
	// window.
	ErrOutOfMemory = execution.ErrOutOfMemory
)

// Session runs the models of its options. Its methods are safe for concurrent use,
// and it needs no closing: what it holds on the device is shared, see Shared.
type Session struct {
	options Options
	key     key
	info    Info

	mutex   sync.Mutex
	account Account
}

// Account is what a session did on the device.
type Account struct {
	Loads []Load
	// Halvings counts how often the device lacked the memory for as many windows as
	// before.
	Halvings int
	Busy     time.Duration // on the device, without waiting for it
}

// Load is the loading of one model: reading it, compiling it and running it once.
type Load struct {
	Kind  training.Kind
	Took  time.Duration
	Bytes int64 // of the weights
}

// Shared returns a session whose models are on the device, loaded now unless they
// were there. They stay there, warm, until other ones are loaded on the device and
// nobody uses or holds these; a session whose models had to go loads them again.
func Shared(opts Options) (*Session, error) {
	s, err := newSession(opts)
	if err != nil {
		return nil, fmt.Errorf("session: %w: %w", ErrUnavailable, err)
	}
	r := enter(s.key)
	defer leave(r)
	if _, err := s.load(r); err != nil {
		return nil, err
	}
	return s, nil
}

// Hold keeps the models of the options on the device, once they are there, until
// they are released, even while they are idle and others are loaded. It loads none.
func Hold(opts Options) (release func(), err error) {
	s, err := newSession(opts)
	if err != nil {
		return nil, fmt.Errorf("session: %w: %w", ErrUnavailable, err)
	}
	return hold(s.key), nil
}

// newSession looks at the folder, and loads nothing.
func newSession(opts Options) (*Session, error) {
	if opts.Batch < 1 {
		return nil, fmt.Errorf("batch %d must be at least 1", opts.Batch)
	}
	dir, err := checkpoint.Absolute(opts.Dir)
	if err != nil {
		return nil, err
	}
	opts.Dir = dir
	if len(opts.Kinds) == 0 {
		opts.Kinds = training.KindsOf(training.MethodDiffStitch)
	}
	info, err := Describe(dir, opts.Kinds)
	if err != nil {
		return nil, err
	}
	if opts.Hashes != (Hashes{}) {
		if err := info.checkHashes(dir, opts.Hashes); err != nil {
			return nil, err
		}
	}
	engine, described, err := backend.Open(opts.Backend)
	if err != nil {
		return nil, err
	}
	if described.Roundoff, err = backend.SetPrecision(engine, opts.Precision); err != nil {
		return nil, err
	}
	info.Backend = described
	k := key{hashes: info.Hashes(), engine: engine, precision: opts.Precision, batch: opts.Batch, sampler: opts.Sampler, target: opts.Return, steps: opts.Steps, refine: opts.Refine, peaks: opts.Peaks}
	return &Session{options: opts, key: k, info: info}, nil
}

// Info describes the models.
func (s *Session) Info() Info { return s.info }

// Take returns the account since the last Take: what happened is told once.
func (s *Session) Take() Account {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	taken := s.account
	s.account = Account{}
	return taken
}

// load returns the models, which it puts on the device if they are not there.
func (s *Session) load(r *resident) (*modelSet, error) {
	r.loading.Lock()
	defer r.loading.Unlock()
	if r.models != nil {
		return r.models, nil
	}
	opened, loads, err := open(s.key, s.options.Dir, s.info.Horizon)
	if err != nil {
		return nil, fmt.Errorf("session: %w: opening the models of %s: %w", ErrUnavailable, s.options.Dir, err)
	}
	r.models = opened
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.account.Loads = append(s.account.Loads, loads...)
	s.account.Halvings += opened.halvingsAtLoad()
	return opened, nil
}

// use runs do on the device, when it is its turn there.
func (s *Session) use(do func(*modelSet) (halvings int, err error)) error {
	r := enter(s.key)
	defer leave(r)
	on, err := s.load(r)
	if err != nil {
		return err
	}
	release := backend.Acquire(s.key.engine, s.options.Concurrency)
	defer release()
	start := time.Now()
	halvings, err := do(on)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.account.Halvings += halvings
	s.account.Busy += time.Since(start)
	if errors.Is(err, execution.ErrEngine) {
		return fmt.Errorf("session: %w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// errDisagree is wrapped by the errors about models that do not belong together.
var errDisagree = errors.New("the models do not belong together")

// key tells sets of models apart by what they hold, not by where they lie.
type key struct {
	hashes    Hashes
	engine    compute.Backend
	precision backend.Precision
	batch     int
	sampler   diffusion.Sampler
	target    float32
	steps     int
	refine    bool
	peaks     bool
}
