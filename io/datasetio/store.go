package datasetio

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"golang.org/x/sync/errgroup"
)

var (
	windowsRead = beam.NewCounter("datasetio", "windows_read")
	windowHits  = beam.NewCounter("datasetio", "window_cache_hits")
)

const (
	// DefaultCacheMB is how many MiB of memory a process spends on keeping windows
	// where nothing is said.
	DefaultCacheMB = 256
	// windowRows is how many states are fetched and kept at once: about what a
	// page of the file holds.
	windowRows = 256
	// openFiles is how many files stay open, with what their footers say of each row
	// group, and awakeFiles how many of those keep their place to read on. Work comes
	// in the order of the data, so a process is at few places at a time.
	openFiles  = 16
	awakeFiles = 4
)

// Store fetches what is asked for of a dataset's episodes by their location, a
// window at a time, and keeps the latest. It is shared by all DoFn instances of
// a process.
type Store struct {
	input Input
	key   string // in stores
	users int
	cache *dataset.Cache // of windows, episodes, decoded row groups and candidates

	mu    sync.Mutex
	files []*openFile // the one used last at the end
}

// openFile is a file of the input. It is not closed while it has users.
type openFile struct {
	*dataset.File
	index int32
	users int
}

// What a store keeps, as keys of its cache.
type (
	// windowKey is windowRows states of an episode, from Window·windowRows on.
	windowKey struct {
		Place  trajectory.Location
		Window int
	}
	rewardsKey struct{ Place trajectory.Location }
	episodeKey struct{ Place trajectory.Location }
)

var (
	storesMu sync.Mutex
	stores   = map[string]*Store{}
)

// OpenStore gives the process's store of the input; close it when done.
func OpenStore(in Input) *Store {
	storesMu.Lock()
	defer storesMu.Unlock()
	key := in.Version()
	st := stores[key]
	if st == nil {
		st = &Store{
			input: in,
			key:   key,
			cache: dataset.NewCache(in.cacheBytes() / heapGrowth),
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

// Episode fetches an episode, and keeps it for who asks for it again. The caller
// must not change it.
func (st *Store) Episode(m trajectory.Meta) (*trajectory.Episode, error) {
	e, _, err := dataset.Cached(st.cache, episodeKey{m.Location}, func() (*trajectory.Episode, int64, error) {
		e, err := st.ReadOnce(m)
		if err != nil {
			return nil, 0, err
		}
		return e, size(e), nil
	})
	return e, err
}

// Stretches fetches what a stitch keeps of the episodes around its bridges.
func (st *Store) Stretches(o trajectory.Outcome) (stretches []trajectory.Stretch, err error) {
	kept := func(in trajectory.Meta, from, to int32) {
		if err == nil {
			var e *trajectory.Episode
			e, err = st.Episode(in)
			stretches = append(stretches, trajectory.Stretch{Episode: e, From: int(from), To: int(to)})
		}
	}
	kept(o.Low.Episode, 0, o.Low.Step)
	last := o.High
	for _, hop := range o.Onward {
		kept(last.Episode, last.Step, hop.Low.Step)
		last = hop.High
	}
	kept(last.Episode, last.Step, last.Episode.Steps)
	return stretches, err
}

// ReadOnce fetches an episode that nobody asks for again.
func (st *Store) ReadOnce(m trajectory.Meta) (*trajectory.Episode, error) {
	var e *trajectory.Episode
	err := st.with(m.Location, func(f *dataset.File) (err error) {
		e, err = f.Fetch(m.Location)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.ID = m.ID
	return e, nil
}

// States fetches the states before the steps [from, to) of an episode,
// [to-from, S]. The caller must not change them.
func (st *Store) States(ctx context.Context, m trajectory.Meta, from, to int) ([]float32, error) {
	var states []float32
	for w := from / windowRows; w*windowRows < to; w++ {
		begin, end := w*windowRows, min((w+1)*windowRows, int(m.Steps))
		window, err := st.floats(ctx, m, windowKey{m.Location, w}, func(f *dataset.File) ([]float32, error) {
			return f.States(m.Location, begin, end)
		})
		if err != nil {
			return nil, err
		}
		dim := len(window) / (end - begin)
		window = window[(max(from, begin)-begin)*dim : (min(to, end)-begin)*dim]
		if states == nil {
			states = slices.Clip(window)
		} else {
			states = append(states, window...)
		}
	}
	return states, nil
}

// Rewards fetches the rewards of an episode, [T]. The caller must not change
// them.
func (st *Store) Rewards(ctx context.Context, m trajectory.Meta) ([]float32, error) {
	return st.floats(ctx, m, rewardsKey{m.Location}, func(f *dataset.File) ([]float32, error) {
		return f.Rewards(m.Location, int(m.Steps))
	})
}

// floats gives what the cache has under a key, or reads and counts it.
func (st *Store) floats(ctx context.Context, m trajectory.Meta, key any, read func(*dataset.File) ([]float32, error)) ([]float32, error) {
	values, hit, err := dataset.Cached(st.cache, key, func() ([]float32, int64, error) {
		var values []float32
		err := st.with(m.Location, func(f *dataset.File) (err error) {
			values, err = read(f)
			return err
		})
		return values, entryBytes + 4*int64(cap(values)), err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("datasetio: fetching episode %d: %w", m.ID, err)
	case hit:
		windowHits.Inc(ctx, 1)
	default:
		windowsRead.Inc(ctx, 1)
	}
	return values, nil
}

// with lends the file of a place to use.
func (st *Store) with(place trajectory.Location, use func(*dataset.File) error) error {
	f, err := st.borrow(place.File)
	if err != nil {
		return err
	}
	return errors.Join(use(f.File), st.giveBack(f))
}

// borrow opens a file, or takes the one that is open, and lets the one that has
// not been used for longest rest.
func (st *Store) borrow(index int32) (*openFile, error) {
	if index < 0 || int(index) >= len(st.input.Files) {
		return nil, fmt.Errorf("datasetio: file %d of %d asked for", index, len(st.input.Files))
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	var f *openFile
	if at := slices.IndexFunc(st.files, func(f *openFile) bool { return f.index == index }); at >= 0 {
		f = st.files[at]
		st.files = slices.Delete(st.files, at, at+1)
	} else {
		opened, err := st.input.open(index)
		if err != nil {
			return nil, err
		}
		opened.Share(st.cache)
		f = &openFile{File: opened, index: index}
	}
	f.users++
	st.files = append(st.files, f)
	if last := len(st.files) - 1 - awakeFiles; last >= 0 {
		st.files[last].Rest()
	}
	return f, nil
}

// giveBack ends the use of a file, and closes the one that has not been used for
// longest if too many are open.
func (st *Store) giveBack(f *openFile) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	f.users--
	if len(st.files) <= openFiles {
		return nil
	}
	at := slices.IndexFunc(st.files, func(f *openFile) bool { return f.users == 0 })
	if at < 0 {
		return nil
	}
	unused := st.files[at]
	st.files = slices.Delete(st.files, at, at+1)
	return unused.Close()
}

const (
	// heapGrowth is what a byte that lives costs of the heap: the garbage collector
	// lets as much again pile up before it looks.
	heapGrowth = 2
	// entryBytes is about what the cache itself takes for an entry.
	entryBytes = 384
)

func size(e *trajectory.Episode) int64 {
	return entryBytes + int64(unsafe.Sizeof(*e)) +
		4*int64(cap(e.Observations)+cap(e.NextObservations)+cap(e.FinalObservation)+cap(e.Actions)+cap(e.Rewards))
}

// Input names a dataset's files and how to read them.
type Input struct {
	Files []string `json:"files"`
	// Windows is the folder below which each window of a stream has its input, in the place
	// of all else; "" of what is no stream.
	Windows string `json:"windows,omitempty"`
	// Versions are those of the files, of object stores, when they were listed: what was
	// replaced since is not read. Files of this machine have "".
	Versions []string        `json:"versions,omitempty"`
	Options  dataset.Options `json:"options"`
	// CacheMB is how many MiB of memory a process spends on keeping what it fetched;
	// 0 for DefaultCacheMB. Of several stores of the same data, the first one's stands.
	CacheMB int `json:"cache_mb,omitempty"`
}

func (in Input) cacheBytes() int64 {
	if in.CacheMB == 0 {
		return DefaultCacheMB << 20
	}
	return int64(in.CacheMB) << 20
}

// Pin says of the files of object stores which versions are to be read.
func (in *Input) Pin() error {
	if !slices.ContainsFunc(in.Files, storage.IsRemote) {
		return nil
	}
	in.Versions = make([]string, len(in.Files))
	var group errgroup.Group
	group.SetLimit(pins)
	for i, path := range in.Files {
		if !storage.IsRemote(path) {
			continue
		}
		group.Go(func() error {
			info, err := storage.Stat(path)
			if err != nil {
				return fmt.Errorf("datasetio: %w", err)
			}
			in.Versions[i] = storage.VersionOf(info)
			return nil
		})
	}
	return group.Wait()
}

// pins is how many files are looked at, at once.
const pins = 16

// open opens a file, of the version that was listed.
func (in Input) open(index int32) (*dataset.File, error) {
	f, err := dataset.OpenAmong(in.Files, int(index), in.Options)
	if err != nil || in.Versions == nil || in.Versions[index] == f.Version() {
		return f, err
	}
	replaced := &fs.PathError{Op: "open", Path: in.Files[index], Err: fmt.Errorf("it was replaced since this run began; run again: %w", storage.ErrChanged)}
	return nil, errors.Join(replaced, f.Close())
}

// Version tells inputs apart: what is read, how, and which version of each file, of this
// machine by its size and the time of its last change, so that a file that was written
// anew is not taken for the old one. No file is opened.
func (in Input) Version() string {
	key := &strings.Builder{}
	fmt.Fprintf(key, "%q %v %q", in.Options.Layout, in.Options.Columns, in.Versions)
	for _, path := range in.Files {
		fmt.Fprintf(key, " %q", path)
		if storage.IsRemote(path) {
			continue
		}
		if info, err := storage.Stat(path); err == nil {
			fmt.Fprintf(key, " %d %d", info.Size(), info.ModTime().UnixNano())
		}
	}
	return key.String()
}
