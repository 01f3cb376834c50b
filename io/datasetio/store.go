package datasetio

import (
	"container/list"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"diffstitch/io/dataset"
	"diffstitch/io/trajectory"
)

// cacheBytes bounds the episodes that one process keeps of a dataset.
const cacheBytes = 256 << 20

// Store fetches episodes of a dataset by location and keeps the latest of them.
// It is shared by all DoFn instances of a process.
type Store struct {
	input Input
	key   string // in stores
	users int
	bound int // bytes of episodes that are kept

	mu      sync.Mutex
	files   map[int32]*dataset.File
	byPlace map[trajectory.Location]*list.Element
	recent  *list.List // of *trajectory.Episode with its place, latest first
	bytes   int
}

type cached struct {
	place   trajectory.Location
	episode *trajectory.Episode
}

var (
	storesMu sync.Mutex
	stores   = map[string]*Store{}
)

// OpenStore gives the process's store of the input; close it when done.
func OpenStore(in Input) *Store {
	storesMu.Lock()
	defer storesMu.Unlock()
	key := in.key()
	st := stores[key]
	if st == nil {
		st = &Store{
			input:   in,
			key:     key,
			bound:   cacheBytes,
			files:   map[int32]*dataset.File{},
			byPlace: map[trajectory.Location]*list.Element{},
			recent:  list.New(),
		}
		stores[key] = st
	}
	st.users++
	return st
}

// Close gives the store back; the last one closes its files.
func (st *Store) Close() error {
	storesMu.Lock()
	defer storesMu.Unlock()
	if st.users--; st.users > 0 {
		return nil
	}
	delete(stores, st.key)
	st.mu.Lock()
	defer st.mu.Unlock()
	var errs []error
	for _, f := range st.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Episode fetches an episode. The caller must not change it.
func (st *Store) Episode(m trajectory.Meta) (*trajectory.Episode, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if at, ok := st.byPlace[m.Location]; ok {
		st.recent.MoveToFront(at)
		return at.Value.(cached).episode, nil
	}
	e, err := st.fetch(m.Location)
	if err != nil {
		return nil, err
	}
	e.ID = m.ID
	st.keep(m.Location, e)
	return e, nil
}

func (st *Store) fetch(place trajectory.Location) (*trajectory.Episode, error) {
	if place.File < 0 || int(place.File) >= len(st.input.Files) {
		return nil, fmt.Errorf("datasetio: file %d of %d asked for", place.File, len(st.input.Files))
	}
	f := st.files[place.File]
	if f == nil {
		var err error
		if f, err = dataset.Open(st.input.Files[place.File], st.input.Options); err != nil {
			return nil, err
		}
		st.files[place.File] = f
	}
	return f.Fetch(place)
}

// keep remembers an episode and forgets the least recent ones over the bound.
func (st *Store) keep(place trajectory.Location, e *trajectory.Episode) {
	st.byPlace[place] = st.recent.PushFront(cached{place, e})
	st.bytes += size(e)
	for st.bytes > st.bound && st.recent.Len() > 1 {
		oldest := st.recent.Remove(st.recent.Back()).(cached)
		delete(st.byPlace, oldest.place)
		st.bytes -= size(oldest.episode)
	}
}

func size(e *trajectory.Episode) int {
	return 4 * (len(e.Observations) + len(e.NextObservations) + len(e.Actions) + len(e.Rewards))
}

// Input names a dataset's files and how to read them.
type Input struct {
	Files   []string        `json:"files"`
	Options dataset.Options `json:"options"`
}

// key tells inputs apart: what is read, how, and which version of each file, so
// that a file that was written anew is not taken for the old one.
func (in Input) key() string {
	key := &strings.Builder{}
	fmt.Fprintf(key, "%q %v", in.Options.Layout, in.Options.Columns)
	for _, path := range in.Files {
		fmt.Fprintf(key, " %q", path)
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(key, " %d %d", info.Size(), info.ModTime().UnixNano())
		}
	}
	return key.String()
}
