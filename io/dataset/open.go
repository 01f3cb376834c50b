package dataset

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"diffstitch/io/layout"
	"diffstitch/io/layout/lerobot"
	"diffstitch/io/layout/minari"
	"diffstitch/io/layout/nested"
	"diffstitch/io/layout/transitions"
	"diffstitch/io/parquet"
	"diffstitch/io/storage"
)

// layouts are those that are known. A new one is named here.
var layouts = []layout.Layout{transitions.Layout, nested.Layout, lerobot.Layout, minari.Layout}

// fileLayouts are what the files of a layout that can be asked for look like.
func fileLayouts() map[string]string {
	files := map[string]string{}
	for _, l := range layouts {
		if l.Name != "" {
			files[l.Name] = l.Name
		}
		for _, folder := range l.Folders {
			files[folder] = l.Files
		}
	}
	return files
}

// Layouts are the names of the layouts that can be asked for, as text.
func Layouts() string {
	return strings.Join(slices.Sorted(maps.Keys(fileLayouts())), ", ")
}

// File is an open data file. Its methods may be called concurrently.
type File struct {
	path   string
	handle *storage.File
	reader layout.Reader
	near   []*neighbour
}

// Version is the file's, of an object store, when it was opened; "" on this machine.
func (f *File) Version() string { return storage.VersionOf(f.handle.Info()) }

// Open opens a Parquet file, or an Arrow file of Minari's, and recognises its
// layout.
func Open(path string, opts Options) (f *File, err error) {
	handle, err := storage.Open(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer func() {
		if err != nil {
			f, err = nil, errors.Join(err, handle.Close())
		}
	}()
	f = &File{path: path, handle: handle}
	if f.reader, err = read(path, handle, opts); err != nil {
		return nil, fmt.Errorf("dataset: opening %q: %w", path, err)
	}
	return f, nil
}

// read finds the layout that reads a file.
func read(path string, handle *storage.File, opts Options) (_ layout.Reader, err error) {
	defer parquet.Recovered(&err)
	asked, known := fileLayouts()[opts.Layout]
	if opts.Layout != "" && !known {
		return nil, fmt.Errorf("%w: layout %q is unknown; %s are read", ErrColumns, opts.Layout, Layouts())
	}
	o := layout.Opened{Path: path, Handle: handle}
	if l := recognised(o); l != nil {
		if asked != "" && asked != l.Name {
			return nil, fmt.Errorf("%w: an Arrow file is read as layout %s, not %s", ErrColumns, l.Name, asked)
		}
		return l.OpenOther(o, opts)
	}
	if o.Table, err = parquet.Open(handle); err != nil {
		return nil, err
	}
	if o.Leaves, err = o.Table.Leaves(); err != nil {
		return nil, err
	}
	if l := recognised(o); asked == "" && l != nil {
		asked = l.Name
	}
	bound, err := o.Bind(asked, opts)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(layouts, func(l layout.Layout) bool { return l.Name == bound.Schema.Layout })
	return layouts[at].Open(o, bound)
}

// recognised is the layout that knows a file for its own, or nil.
func recognised(o layout.Opened) *layout.Layout {
	for i, l := range layouts {
		if l.Recognises != nil && l.Recognises(o) {
			return &layouts[i]
		}
	}
	return nil
}

// Schema is what the file holds.
func (f *File) Schema() Schema { return f.reader.Schema() }

// Path is the name the file was opened by.
func (f *File) Path() string { return f.path }

// Share has the file keep decoded row groups in a cache with others.
func (f *File) Share(c *Cache) { f.reader.Share(c) }

// Rest gives up what is held to read on. The file stays open.
func (f *File) Rest() { f.reader.Rest() }

// Close closes the file, and those around it that were opened for its episodes.
func (f *File) Close() error {
	f.Rest()
	errs := []error{f.handle.Close()}
	for _, n := range f.near {
		errs = append(errs, n.close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("dataset: closing %q: %w", f.path, err)
	}
	return nil
}

// all are the row groups of the whole file.
func (f *File) all() Groups { return Groups{To: f.reader.Groups()} }

// Splits cuts the file into runs of row groups of about so many decoded bytes,
// one row group at least, for workers to share.
func (f *File) Splits(bytes int64) []Groups {
	var splits []Groups
	size := bytes
	for g := range f.all().To {
		if size >= bytes {
			splits = append(splits, Groups{From: g, To: g})
			size = 0
		}
		splits[len(splits)-1].To = g + 1
		size += f.reader.GroupBytes(g)
	}
	return splits
}

// FirstRow is the first row of a row group.
func (f *File) FirstRow(group int) int64 { return f.reader.FirstRow(group) }
