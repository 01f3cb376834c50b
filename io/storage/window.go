package storage

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
)

// What is read of an object at once, in bytes: the end when it is opened, where a Parquet
// file has its footer; then a window, and twice as much each time that reading goes on
// where the last window ended.
const (
	firstWindow = 256 << 10
	mostWindow  = 4 << 20
	// keptWindows bounds the windows that a process keeps, those that are being read aside.
	keptWindows = 128 << 20
)

// remote is an object that is open for reading, in one version of it.
type remote struct {
	path    string
	version string
	size    int64
}

// window is a part of an object.
type window struct {
	of    *remote
	from  int64
	size  int64
	ready chan struct{} // closed when what follows is there
	data  []byte
	err   error
}

func (w *window) holds(r *remote, off int64) bool {
	return w.of == r && w.from <= off && off < w.from+w.size
}

var (
	windowsMu sync.Mutex
	windows   []*window // the one used last at the end
)

// openings is how often an object is opened anew that is replaced the moment it is read.
const openings = 10

func openRemote(path string) (f *File, err error) {
	for range openings {
		if f, err = openVersion(path); !errors.Is(err, ErrChanged) {
			break
		}
	}
	return f, err
}

func openVersion(path string) (*File, error) {
	return ask("open", path, func(ctx context.Context, o object) (*File, error) {
		if o.key == "" {
			return nil, fs.ErrNotExist
		}
		found, end, err := o.Tail(ctx, o.key, firstWindow)
		if err != nil {
			return nil, err
		}
		r := &remote{path, found.Version, found.Size}
		ready := make(chan struct{})
		close(ready)
		if len(end) > 0 {
			keep(&window{of: r, from: found.Size - int64(len(end)), size: int64(len(end)), ready: ready, data: end})
		}
		return &File{path: path, info: info{name: Base(path), of: found}, source: r}, nil
	})
}

// ReadAt reads out of the windows.
func (r *remote) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		if off+int64(n) >= r.size {
			return n, io.EOF
		}
		w := r.window(off+int64(n), int64(len(p)-n))
		<-w.ready
		if w.err != nil {
			return n, w.err
		}
		n += copy(p[n:], w.data[off+int64(n)-w.from:])
	}
	return n, nil
}

// window is one that begins at a place, of as many bytes at least, or one that is kept and
// holds the place. Only one reader fetches it.
func (r *remote) window(off, bytes int64) *window {
	windowsMu.Lock()
	size := int64(firstWindow)
	for i, w := range slices.Backward(windows) {
		if w.holds(r, off) {
			windows = append(slices.Delete(windows, i, i+1), w)
			windowsMu.Unlock()
			return w
		}
		if w.of == r && w.from+w.size == off {
			size = min(2*w.size, mostWindow)
		}
	}
	w := &window{of: r, from: off, size: min(max(size, bytes), r.size-off), ready: make(chan struct{})}
	for _, next := range windows { // what is there already is not fetched again
		if next.of == r && next.from > off {
			w.size = min(w.size, next.from-off)
		}
	}
	windows = append(windows, w)
	windowsMu.Unlock()
	r.fetch(w)
	return w
}

func (r *remote) fetch(w *window) {
	data := make([]byte, w.size)
	_, err := ask("read", r.path, func(ctx context.Context, o object) (struct{}, error) {
		return struct{}{}, o.Read(ctx, o.key, r.version, data, w.from)
	})
	if w.data, w.err = data, err; err != nil {
		w.data = nil
		forget(func(kept *window) bool { return kept == w })
	}
	close(w.ready)
	trim()
}

// Close lets go of the windows.
func (r *remote) Close() error {
	forget(func(kept *window) bool { return kept.of == r })
	return nil
}

func keep(w *window) {
	windowsMu.Lock()
	windows = append(windows, w)
	windowsMu.Unlock()
	trim()
}

func forget(which func(*window) bool) {
	windowsMu.Lock()
	windows = slices.DeleteFunc(windows, which)
	windowsMu.Unlock()
}

// trim lets those windows go that were not used for longest, until the rest is within the
// bound.
func trim() {
	windowsMu.Lock()
	defer windowsMu.Unlock()
	kept := int64(0)
	for i, w := range slices.Backward(windows) {
		if kept += w.size; kept > keptWindows {
			windows = slices.Delete(windows, 0, i+1)
			return
		}
	}
}
