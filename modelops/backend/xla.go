//go:build cgo && !noxla

package backend

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/go-xla/pjrt"

	"diffstitch/modelops/backend/executables"
)

// installHint ends the notice of a fall-back to pure Go.
const installHint = "; `diffstitch backends install cpu` fetches the faster one"

var errNoPlugin = errors.New("no XLA plugin found")

// openXLA loads the plugin that GOMLX_BACKEND names (xla:NAME or xla:/PATH,
// with options), else the first one that loads of those in
// PJRT_PLUGIN_LIBRARY_PATH or in go-xla's usual folders, CUDA before CPU.
// go-xla's own wish to download one is turned off, for the whole process.
var openXLA = sync.OnceValues(func() (opened, error) {
	xla.EnableAutoInstall(false)
	configs, err := xlaConfigs()
	if err != nil {
		return opened{}, err
	}
	why := errNoPlugin
	for _, config := range configs {
		hush(config)
		engine, err := loadXLA(config)
		if err != nil {
			why = fmt.Errorf("XLA plugin %q does not load: %w", config, err)
			continue
		}
		keep(config)
		openedWithTF32 = usesTF32(engine)
		return opened{backend: engine, info: Info{Name: XLA, Kind: XLA, Description: engine.Description(), Roundoff: roundoff(engine)}}, nil
	}
	return opened{}, why
})

func isCUDA(engine compute.Backend) bool {
	x, ok := engine.(*xla.Backend)
	return ok && x.IsCUDA()
}

// IsXLACPU tells whether a backend is XLA on the CPU.
func IsXLACPU(engine compute.Backend) bool {
	x, ok := engine.(*xla.Backend)
	return ok && x.IsCPU()
}

// setTF32 is go-xla's option of the same name, which graphs are built by.
func setTF32(engine compute.Backend, on bool) {
	if x, ok := engine.(*xla.Backend); ok {
		x.DotGeneralUseTF32 = on
	}
}

func usesTF32(engine compute.Backend) bool {
	x, ok := engine.(*xla.Backend)
	return ok && x.DotGeneralUseTF32
}

// xlaConfigs lists the configurations to try, in order.
func xlaConfigs() ([]string, error) {
	if name, config, ok := strings.Cut(os.Getenv(compute.ConfigEnvVar), ":"); ok && name == xla.BackendName {
		return []string{config}, nil
	}
	var plugins []string
	err := catch(func() error {
		plugins = slices.Clone(xla.GetAvailablePlugins())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("searching XLA plugins: %w", err)
	}
	slices.SortFunc(plugins, func(a, b string) int {
		return strings.Compare(pluginRank(a), pluginRank(b))
	})
	return plugins, nil
}

// pluginRank sorts plugins by name, those for CUDA ("cuda", "cuda13_v0.1")
// before those for the CPU, and these before others.
func pluginRank(name string) string {
	switch {
	case strings.HasPrefix(name, "cuda"):
		return "0" + name
	case strings.HasPrefix(name, "cpu"):
		return "1" + name
	default:
		return "2" + name
	}
}

func loadXLA(config string) (engine compute.Backend, err error) {
	err = catch(func() (err error) {
		engine, err = xla.New(config)
		return err
	})
	return engine, err
}

// keep has what the plugin compiles kept for other processes, in the user's folder for
// caches. Where there is none, or the plugin cannot, each process compiles for itself.
func keep(config string) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return
	}
	dir := filepath.Join(cache, "diffstitch", "executables")
	for _, path := range paths(config) { // of which one is loaded
		if executables.Keep(path, dir) == nil {
			return
		}
	}
}

// paths are the files that a configuration may mean.
func paths(config string) (list []string) {
	name, _, _ := strings.Cut(config, ",")
	if filepath.IsAbs(name) {
		return []string{name}
	}
	for found, path := range pjrt.AvailablePlugins() {
		if strings.HasPrefix(found, name) {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

// cudaChecks turns go-xla's look for CUDA's libraries on and off.
const cudaChecks = "GOPJRT_CUDA_CHECKS"

// hush keeps from the user 900 characters of advice that go-xla gives where a plugin for
// CUDA has no folder of libraries beside it: it may find them elsewhere, and if it does
// not then loading it, or compiling, says so. Where the folder is there the look has a use.
func hush(config string) {
	if _, said := os.LookupEnv(cudaChecks); said {
		return
	}
	for _, path := range paths(config) {
		if found, err := os.Stat(filepath.Join(filepath.Dir(filepath.Dir(path)), "nvidia")); err == nil && found.IsDir() {
			return
		}
	}
	_ = os.Setenv(cudaChecks, "no")
}

// catch turns a panic into an error: go-xla panics on a plugin file that is no
// shared library.
func catch(run func() error) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("panic: %v", caught)
		}
	}()
	return run()
}
