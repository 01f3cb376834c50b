package stream

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
)

// listed is a file as it was found.
type listed struct {
	path     string
	bytes    int64
	modified int64 // ns since 1970
}

func (l listed) same(o listed) bool { return l.bytes == o.bytes && l.modified == o.modified }

// list looks what files there are. Those that are gone by the time they are looked at are
// left out.
func list(path string) ([]listed, error) {
	files, err := dataset.Files(path)
	if errors.Is(err, dataset.ErrNoFiles) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := make([]listed, 0, len(files))
	for _, file := range files {
		info, err := storage.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, listed{file, info.Size(), info.ModTime().UnixNano()})
	}
	return found, nil
}

// ready is a file that can be taken.
type ready struct {
	listed
	at int64 // its event time, ms since 1970
}

// watcher knows which files are new and whole.
type watcher struct {
	known   map[string]snapshot.Input // by path, those that are published
	since   time.Time                 // when they were
	pending map[string]candidate      // by path
	checked map[string]listed         // by path, those of the known that were looked at again
	whole   func(path string) (bool, error)
	hash    func(path string) (string, error)
}

// candidate is a file that is not known.
type candidate struct {
	listed
	whole bool
	first time.Time // when it was first seen as it is
}

func newWatcher(options dataset.Options) *watcher {
	return &watcher{
		pending: map[string]candidate{}, checked: map[string]listed{},
		whole: func(path string) (bool, error) { return isWhole(path, options) },
		hash: func(path string) (string, error) {
			sum, _, err := snapshot.HashFile(path)
			return sum, err
		},
	}
}

// isWhole is whether a file can be opened as data. One that can, but has not what is
// needed, is whole: it is taken, and rejected.
func isWhole(path string, options dataset.Options) (bool, error) {
	f, err := dataset.Open(path, options)
	switch {
	case err == nil:
		return true, f.Close()
	case errors.Is(err, dataset.ErrColumns):
		return true, nil
	case datasetio.OfTheStorage(err):
		return false, err
	}
	return false, nil
}

// looked is what a look at the files came to.
type looked struct {
	ready     []ready  // in the order of their event times
	waiting   []listed // unchanged since the look before, and not whole
	rewritten []listed // published, and another by now
}

// look compares what is found with what is known. A file is ready once it is as it was a
// look ago and can be opened. busy are the paths of files that are on their way.
func (w *watcher) look(now time.Time, found []listed, busy map[string]bool) (l looked, err error) {
	pending := map[string]candidate{}
	for _, f := range found {
		if busy[f.path] {
			continue
		}
		before, seen := w.pending[f.path]
		c := candidate{listed: f, first: now}
		if seen && before.same(f) {
			c = before
		}
		of, isKnown := w.known[f.path]
		switch {
		case isKnown && (w.checked[f.path].same(f) || w.unchanged(f, of)):
			continue
		case !seen || !before.same(f):
		case isKnown:
			sum, err := w.hash(f.path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return l, err
			}
			w.checked[f.path] = f
			if sum != of.SHA256 {
				l.rewritten = append(l.rewritten, f)
			}
			continue
		default:
			if !c.whole {
				if c.whole, err = w.whole(f.path); err != nil {
					return l, err
				}
			}
			if c.whole {
				l.ready = append(l.ready, ready{f, min(f.modified/1e6, c.first.UnixMilli())})
			} else {
				l.waiting = append(l.waiting, f)
			}
		}
		pending[f.path] = c
	}
	w.pending = pending
	slices.SortFunc(l.ready, func(a, b ready) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.path, b.path))
	})
	return l, nil
}

// unchanged is whether a file is what was published, as far as can be told without reading
// it.
func (w *watcher) unchanged(f listed, of snapshot.Input) bool {
	if of.Bytes != f.bytes {
		return false
	}
	if of.Modified == nil {
		return f.modified < w.since.UnixNano()
	}
	return of.Modified.UnixNano() == f.modified
}

const (
	// mostFiles and mostBytes bound a window; what there is more goes into the next.
	mostFiles = 256
	mostBytes = 1 << 30
)

// cut gives the start of the next window and its files, of those that are ready: the ones
// before its end, and those that belonged to a window before it, which ended at watermark.
// There is none before the time until which all files are known to have come. In the order
// of time, the first are taken where there are too many. Times are in ms since 1970.
func cut(all []ready, watermark, frontier, size int64) (start int64, files []ready) {
	if len(all) == 0 {
		return 0, nil
	}
	start = max(all[0].at, watermark)
	start -= start % size
	if start+size > frontier {
		return 0, nil
	}
	bytes := int64(0)
	for _, r := range all {
		if r.at >= start+size || len(files) == mostFiles || len(files) > 0 && bytes+r.bytes > mostBytes {
			break
		}
		files, bytes = append(files, r), bytes+r.bytes
	}
	return start, files
}
