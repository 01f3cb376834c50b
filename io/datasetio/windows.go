package datasetio

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"sync"

	"diffstitch/io/storage"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
)

// A stream works on a dataset for each of its windows: the window's files, and those in
// which earlier episodes lie. What the DoFns of this package write and read of a window
// lies in a folder of its own, below the folder that they are given. Once that is gone the
// window is over: what a runner tries again of it is let go.

// WindowFolder is where what belongs to a window lies below a folder; the folder itself
// outside of streams, where all is in one window.
func WindowFolder(dir string, w beam.Window) string {
	if at, isInterval := w.(window.IntervalWindow); isInterval {
		return NumberedFolder(dir, at.Start.Milliseconds())
	}
	return dir
}

// NumberedFolder is the folder of the window that begins at a time, in ms since 1970.
func NumberedFolder(dir string, start int64) string {
	return storage.Join(dir, strconv.FormatInt(start, 10))
}

// inWindow is the path of a file, or what paths begin with, in the folder of a window.
func inWindow(path string, w beam.Window) string {
	return storage.Join(WindowFolder(storage.Dir(path), w), storage.Base(path))
}

// inputName is the file in which a window's input lies.
const inputName = "input.json"

// maxInput bounds what is read of it, in bytes.
const maxInput = 64 << 20

// Save leaves the input of a window in the window's folder, for In.
func (in Input) Save(folder string) error {
	return storage.WriteJSON(storage.Join(folder, inputName), in)
}

// In is the input of a window, or false where the window is over. An input that is of no
// stream is the same in all.
func (in Input) In(w beam.Window) (Input, bool, error) {
	if in.Windows == "" {
		return in, true, nil
	}
	path := storage.Join(WindowFolder(in.Windows, w), inputName)
	text, err := storage.ReadFile(path, maxInput)
	if errors.Is(err, fs.ErrNotExist) {
		return in, false, nil
	}
	var of Input
	if err == nil {
		err = json.Unmarshal(text, &of)
	}
	if err != nil {
		return in, false, fmt.Errorf("datasetio: reading the input of a window: %w", err)
	}
	return of, true, nil
}

// isOver is whether the window is over of which a DoFn is to write into a folder.
func isOver(dir string, w beam.Window) (bool, error) {
	folder := WindowFolder(dir, w)
	if folder == dir {
		return false, nil
	}
	_, err := storage.Stat(storage.Join(folder, inputName))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}

// keptStores is how many windows' stores stay open: of those that a stream is at.
const keptStores = 2

var (
	keptMu sync.Mutex
	kept   []*Store // those of windows that stay open, the latest at the end
)

// OpenWindow gives the process's store of a window's input; close it when done. It stays
// open until the stream has gone on. It gives nil where the window is over.
func OpenWindow(in Input, w beam.Window) (*Store, error) {
	of, goesOn, err := in.In(w)
	if err != nil || !goesOn {
		return nil, err
	}
	if in.Windows == "" {
		return OpenStore(of), nil
	}
	return OpenStore(of), keep(of)
}

// keep has the store of an input stay open, and closes the one that was kept for longest.
func keep(in Input) error {
	keptMu.Lock()
	defer keptMu.Unlock()
	st := OpenStore(in)
	if slices.Contains(kept, st) {
		return st.Close()
	}
	kept = append(kept, st)
	if len(kept) <= keptStores {
		return nil
	}
	oldest := kept[0]
	kept = slices.Delete(kept, 0, 1)
	return oldest.Close()
}
