// Package backend opens the engine that runs the models: GoMLX's pure-Go
// backend, which is always there, or XLA, where a PJRT plugin is installed.
//
// A backend is opened once per process and shared. Nothing is downloaded unless
// Install is called.
package backend

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
)

// Names that Open takes, and kinds of an Info (Auto is no kind).
const (
	Auto = "auto" // XLA where a plugin loads, else pure Go
	Go   = "go"   // GoMLX's pure-Go backend
	XLA  = "xla"  // XLA by a PJRT plugin, CPU or CUDA
)

// Names lists what Open takes.
var Names = []string{Auto, Go, XLA}

// Info describes an opened backend.
type Info struct {
	Name        string // as asked for: auto, go or xla
	Kind        string // what it is: go or xla
	Description string
	// Notice is one line for the user, empty when there is nothing to say.
	Notice string
	// Roundoff is the relative error of a value before it is multiplied in a matrix
	// product of float32.
	Roundoff float64
}

// The errors of rounding to float32, and to TF32.
const (
	singleRoundoff = 1.0 / (1 << 24)
	tf32Roundoff   = 1.0 / (1 << 11)
)

// Open returns the process's backend of that name. It never downloads, and
// never waits for a network.
func Open(name string) (compute.Backend, Info, error) {
	switch name {
	case Go:
		opened, err := openGo()
		return opened.backend, opened.info, err
	case XLA:
		opened, err := openXLA()
		if err != nil {
			return nil, Info{}, fmt.Errorf("backend: %w", err)
		}
		return opened.backend, opened.info, nil
	case Auto:
		return openAuto()
	default:
		return nil, Info{}, fmt.Errorf("backend: unknown name %q: it is one of %s", name, strings.Join(Names, ", "))
	}
}

// List describes the backends that can be opened here, the fastest first. A
// backend that can't be opened is described by a Notice that says why.
func List() []Info {
	fast, err := openXLA()
	if err != nil {
		fast.info = Info{Name: XLA, Kind: XLA, Notice: err.Error()}
	}
	always, err := openGo()
	if err != nil {
		always.info = Info{Name: Go, Kind: Go, Notice: err.Error()}
	}
	return []Info{fast.info, always.info}
}

// opened is a backend with its description.
type opened struct {
	backend compute.Backend
	info    Info
}

func openAuto() (compute.Backend, Info, error) {
	fast, why := openXLA()
	if why == nil {
		fast.info.Name = Auto
		return fast.backend, fast.info, nil
	}
	always, err := openGo()
	always.info.Name = Auto
	always.info.Notice = fmt.Sprintf("%v: using the pure-Go backend%s", why, installHint)
	return always.backend, always.info, err
}

// openGo opens the pure-Go backend without a limit on its workers.
//
// With the default limit an operation holds a worker's slot while a large
// matrix product inside it waits for another slot, and when every slot is held
// so the process stops for good. Without a limit nothing waits for a slot: a
// product starts its own workers at once, and waits only for them.
var openGo = sync.OnceValues(func() (opened, error) {
	engine, err := gobackend.New("")
	if err != nil {
		return opened{}, fmt.Errorf("backend: opening the pure-Go backend: %w", err)
	}
	if err := unlimitWorkers(engine); err != nil {
		return opened{}, err
	}
	return opened{backend: engine, info: Info{Name: Go, Kind: Go, Description: engine.Description(), Roundoff: singleRoundoff}}, nil
})

// unlimitWorkers does what the backend's option "parallelism=-1" does, without
// the line that the option prints to the standard output, where a command's
// JSON goes. The pool's type is internal to the module, its field isn't.
func unlimitWorkers(engine compute.Backend) error {
	workers := reflect.ValueOf(engine).Elem().FieldByName("Workers")
	pool, ok := workers.Interface().(interface{ SetMaxParallelism(int) })
	if !ok {
		return fmt.Errorf("backend: the pure-Go backend has no worker pool to set: %T", engine)
	}
	pool.SetMaxParallelism(-1)
	return nil
}

// running is held while the pure-Go backend executes a graph.
var running sync.Mutex

// Serialize runs one execution on the backend. The pure-Go backend must never
// run two graphs at once, so there one waits for the other, the whole process
// over; on XLA run is just called.
func Serialize(engine compute.Backend, run func() error) error {
	if IsGo(engine) {
		running.Lock()
		defer running.Unlock()
	}
	return run()
}

// IsGo tells whether the backend is the pure-Go one, which wants some
// operations written in another form.
func IsGo(engine compute.Backend) bool {
	return engine.String() == gobackend.BackendName
}

// OutOfMemory tells whether an error of compiling or running a graph says that the
// device lacks the memory. go-xla hands on the code and the text of PJRT's errors,
// in its message alone.
func OutOfMemory(err error) bool {
	return slices.ContainsFunc(memoryErrors, func(text string) bool { return strings.Contains(err.Error(), text) })
}

var memoryErrors = []string{
	"PJRT error (code=8)", // RESOURCE_EXHAUSTED
	"RESOURCE_EXHAUSTED",
	"CUDA_ERROR_OUT_OF_MEMORY", // of the driver, inside an error of another code
}
