package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"diffstitch/io/layout"
	"diffstitch/io/layout/minari"
	"diffstitch/io/parquet"
)

// OpenAmong opens one of a dataset's files, in which an episode may go on from the file
// before, and from which one may go on in the next: where ids and steps say so, such an
// episode belongs to the file that it begins in.
func OpenAmong(files []string, index int, opts Options) (*File, error) {
	return openAmong(files, index, opts, 0)
}

func openAmong(files []string, index int, opts Options, joined int) (*File, error) {
	f, err := Open(files[index], opts)
	if err != nil {
		return nil, err
	}
	reader, ok := f.reader.(layout.RowReader)
	if !ok || len(files) == 1 {
		return f, nil
	}
	var before, after func() (layout.Reader, error)
	if index > 0 {
		before = f.beside(func() (*File, error) {
			return firstWithRows(index, func(i int) (*File, error) { return Open(files[index-1-i], opts) })
		})
	}
	if index+1 < len(files) {
		// That one looks back at no file, since it was asked for by this one.
		after = f.beside(func() (*File, error) {
			rest := files[index+1:]
			return firstWithRows(len(rest), func(i int) (*File, error) { return openAmong(rest[i:], 0, opts, joined+1) })
		})
	}
	reader.Between(before, after, joined)
	return f, nil
}

// firstWithRows opens the first of some files that has rows, or the last of all.
func firstWithRows(count int, open func(i int) (*File, error)) (*File, error) {
	for i := 0; ; i++ {
		f, err := open(i)
		if err != nil || f.Schema().Rows > 0 || i == count-1 {
			return f, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// beside has a file that lies beside this one opened when it is asked for.
func (f *File) beside(open func() (*File, error)) func() (layout.Reader, error) {
	n := &neighbour{open: open}
	f.near = append(f.near, n)
	return n.reader
}

// neighbour is a file beside another, which is opened once, when it is asked for.
type neighbour struct {
	open func() (*File, error)

	mu   sync.Mutex
	file *File
}

// reader is nil where the file cannot be read, for which it is rejected by itself. That
// the storage is in trouble is an error.
func (n *neighbour) reader() (layout.Reader, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file == nil {
		file, err := n.open()
		if unusable(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		n.file = file
	}
	return n.file.reader, nil
}

func (n *neighbour) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file == nil {
		return nil
	}
	return n.file.Close()
}

// unusable is whether an error is the file's own.
func unusable(err error) bool {
	for _, own := range []error{parquet.ErrNotParquet, parquet.ErrColumns, minari.ErrNotArrow, layout.ErrMetadata, fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// CheckOrder refuses a file whose rows are in no order, by those that come first.
func (f *File) CheckOrder() error {
	reader, ok := f.reader.(layout.RowReader)
	if !ok {
		return nil
	}
	if err := reader.CheckOrder(); err != nil {
		return fmt.Errorf("dataset: reading %q: %w", f.path, err)
	}
	return nil
}

// Notes are what a user should know of how the file is read, a line each.
func (f *File) Notes() (notes []string, err error) {
	if narrowed := f.Schema().Narrowed; len(narrowed) > 0 {
		notes = append(notes, fmt.Sprintf("%s: float64 in the data, read and written as float32, which keeps 7 digits", strings.Join(narrowed, ", ")))
	}
	reader, ok := f.reader.(layout.RowReader)
	if !ok {
		return notes, nil
	}
	more, err := reader.Notes()
	if err != nil {
		return nil, fmt.Errorf("dataset: reading %q: %w", f.path, err)
	}
	return append(notes, more...), nil
}

// Edges counts, where no step says so, the episodes that may go on from the file before.
type Edges struct {
	file    int
	id      int64
	some    bool
	guessed int
}

// Add takes up the next episode of the data.
func (e *Edges) Add(file int, id int64) {
	if e.some && file != e.file && id == e.id {
		e.guessed++
	}
	e.file, e.id, e.some = file, id, true
}

// Note says what was found; "" where that is nothing.
func (e *Edges) Note() string {
	if e.guessed == 0 {
		return ""
	}
	return fmt.Sprintf("%d episodes have the id of the last one of the file before, and no step says whether they go on from it: they are read as episodes of their own", e.guessed)
}

// Stepless is whether episodes have ids and no steps.
func Stepless(s Schema) bool {
	return s.Layout == Transitions && !s.ImplicitIDs && s.Columns["step"] == ""
}
