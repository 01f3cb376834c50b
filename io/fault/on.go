//go:build faults

package fault

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Variable names the environment variable that holds a plan of faults, such as
//
//	seed=3 limit=2 estimate:error=0.2 inpaint:panic=0.2 read:slow=0.1 write:full=0.1
//
// A place is a DoFn's stage, a stage with -done (after its side effects and
// before its output), or an operation on files: open, read, create, write, finish
// (sync and rename). What happens
// there is an error, a panic, slow (a fifth of a second), hang (for good), full
// (no space left on the device), kill (kill -9 of this process, once on the whole
// job), or broken (an error on every visit of the elements that are drawn). The
// number is the share of visits it happens on; which visits those are depends on
// the seed, the place, the element and how often it was visited. An element
// suffers at most limit faults at a place, 1 if it is not said. file=NAME
// confines what happens to files to those whose name holds it, and
// patience=DURATION replaces the limits of time. Each fault leaves an empty file
// in the folder that log=DIR names.
const Variable = "DIFFSTITCH_FAULTS"

type plan struct {
	seed     uint64
	limit    int
	file     string
	log      string
	patience time.Duration
	rules    []rule
}

type rule struct {
	place, kind string
	share       float64
}

// fileOperations are the places whose elements are names of files.
var fileOperations = []string{"open", "read", "create", "write", "finish"}

type visits struct{ visited, suffered int }

var (
	mutex    sync.Mutex
	past     = map[string]*visits{}
	injected int
	current  = sync.OnceValues(func() (plan, error) { return parse(os.Getenv(Variable)) })
)

// parse reads a plan.
func parse(text string) (p plan, err error) {
	p.limit = 1
	for _, word := range strings.Fields(text) {
		key, value, _ := strings.Cut(word, "=")
		place, kind, isRule := strings.Cut(key, ":")
		switch {
		case isRule:
			var share float64
			share, err = strconv.ParseFloat(value, 64)
			p.rules = append(p.rules, rule{place, kind, share})
		case key == "seed":
			p.seed, err = strconv.ParseUint(value, 10, 64)
		case key == "limit":
			p.limit, err = strconv.Atoi(value)
		case key == "file":
			p.file = value
		case key == "log":
			p.log = value
		case key == "patience":
			p.patience, err = time.ParseDuration(value)
		default:
			err = errors.New("unknown word")
		}
		if err != nil {
			return p, fmt.Errorf("fault: %s: %q: %w", Variable, word, err)
		}
	}
	return p, nil
}

// At is where work may fail: at a place, on an element.
func At(place, element string) error {
	p, err := current()
	if err != nil {
		return err
	}
	for _, r := range p.rules {
		if r.place == place && p.strikes(r, element) {
			return r.happen(element)
		}
	}
	return nil
}

// Limit is the plan's patience in place of a limit of time.
func Limit(limit time.Duration) time.Duration {
	if p, err := current(); err == nil && p.patience > 0 {
		return p.patience
	}
	return limit
}

// strikes draws whether a rule applies to this visit of an element.
func (p plan) strikes(r rule, element string) bool {
	if onFiles := slices.Contains(fileOperations, r.place); onFiles && !strings.Contains(element, p.file) {
		return false
	}
	key := r.place + ":" + r.kind + " " + element
	mutex.Lock()
	defer mutex.Unlock()
	v := past[key]
	if v == nil {
		v = &visits{}
		past[key] = v
	}
	draw := v.visited
	v.visited++
	if r.kind == "broken" {
		draw = 0
	}
	if r.kind != "broken" && v.suffered >= p.limit || p.draw(key, draw) >= r.share {
		return false
	}
	v.suffered++
	injected++
	return p.record(r)
}

// record leaves a file for a fault. Of a kill it says whether it is the first: a
// process that is started again knows nothing of its past.
func (p plan) record(r rule) (first bool) {
	if p.log == "" {
		return true
	}
	name := fmt.Sprintf("%s-%s", r.place, r.kind)
	if r.kind != "kill" {
		name = fmt.Sprintf("%s-%d-%d", name, os.Getpid(), injected)
	}
	f, err := os.OpenFile(filepath.Join(p.log, name), os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return false
	}
	f.Close() // it is empty
	return true
}

// draw is a number in [0, 1) of the stream of (seed, key), the same on every
// machine.
func (p plan) draw(key string, visit int) float64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return rand.New(rand.NewPCG(p.seed, h.Sum64()^uint64(visit)*0x9e3779b97f4a7c15)).Float64()
}

func (r rule) happen(element string) error {
	switch r.kind {
	case "panic":
		panic("injected at " + r.place)
	case "slow":
		time.Sleep(200 * time.Millisecond)
		return nil
	case "hang":
		select {}
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "full":
		return &fs.PathError{Op: r.place, Path: element, Err: syscall.ENOSPC}
	}
	return fmt.Errorf("injected %s at %s", r.kind, r.place)
}
