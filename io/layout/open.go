package layout

import (
	"fmt"

	"diffstitch/io/parquet"
	"diffstitch/io/storage"
)

// Layout is what a layout does. What it does not do is nil.
type Layout struct {
	// Name is what its files are asked for by, and in Folders what the folders of
	// other tools are, which are filled by Write.
	Name    string
	Folders []string
	// Files is the name of the layout that the files of its folders have.
	Files string
	// Recognises is whether a file is one of the layout's, where its columns' depth
	// does not tell.
	Recognises func(Opened) bool
	// Open reads an opened file of the layout.
	Open func(Opened, File) (Reader, error)
	// OpenOther reads a file that is no Parquet, where Recognises took it.
	OpenOther func(Opened, Options) (Reader, error)
	// Folder lists the data files of a folder that the layout's tool made, in order,
	// and names its layout; found is whether it is such a folder.
	Folder func(dir string) (files []string, found bool, err error)
	// FolderName is the layout of a folder that the tool made, or "".
	FolderName func(dir string) string
	// Write begins to fill a folder.
	Write func(dir string, c ExportConfig) (Writer, error)
}

// Opened is a file of which it is not known yet how its rows are laid out.
type Opened struct {
	Path   string
	Handle *storage.File
	Table  *parquet.File // nil of a file that is no Parquet, and what follows
	Leaves map[string]parquet.Leaf
}

// Bind finds the columns of an opened Parquet file, and how its rows are laid out: as
// asked for, or as they look.
func (o Opened) Bind(asked string, opts Options) (f File, err error) {
	f.Path, f.Bytes, f.MaxEpisodeSteps = o.Path, o.Handle.Size(), opts.MaxEpisodeSteps
	if f.Columns, err = Bind(o.Leaves, asked, opts); err != nil {
		return f, err
	}
	if err := o.Table.CheckGroups(o.Handle.Size(), f.Columns.Leaves()); err != nil {
		return f, fmt.Errorf("%w: %w", parquet.ErrNotParquet, err)
	}
	layout, err := f.Columns.Arrange(asked, o.Table.Width)
	if err != nil {
		return f, err
	}
	return f, o.describe(&f, layout)
}

func (o Opened) describe(f *File, layout string) error {
	s := Schema{
		Layout:      layout,
		Rows:        o.Table.Rows(),
		ImplicitIDs: layout == Episodes || !f.Columns.HasAny("episode_id"),
		Provenance:  f.Columns.HasAll(ProvenanceColumns...),
		Columns:     f.Columns.Names(),
		TextIDs:     layout == Transitions && f.Columns["episode_id"].Text(),
		OriginalIDs: layout == Transitions && f.Columns.HasAny("original_id"),
		Narrowed:    f.Columns.Narrowed(),
	}
	var err error
	if s.ObservationDim, err = o.vectorWidth(f.Columns, "observations", layout); err != nil {
		return err
	}
	if s.ActionDim, err = o.vectorWidth(f.Columns, "actions", layout); err != nil {
		return err
	}
	if f.Columns["next_observations"].Parts != nil {
		width, err := o.vectorWidth(f.Columns, "next_observations", layout)
		if err != nil {
			return err
		}
		if width != s.ObservationDim {
			return fmt.Errorf("%w: next_observations has %d values, observations %d", parquet.ErrColumns, width, s.ObservationDim)
		}
	}
	f.Schema = s
	return nil
}

// vectorWidth is the width of a vector, of all its parts together.
func (o Opened) vectorWidth(columns Binding, name, layout string) (width int, err error) {
	l := columns[name]
	if l.Parts == nil {
		return o.width(l, layout)
	}
	for i := range l.Parts {
		part := &l.Parts[i]
		if part.Size, err = o.width(*part, layout); err != nil {
			return 0, err
		}
		width += part.Size
	}
	if width > parquet.MaxWidth {
		return 0, fmt.Errorf("%w: %s has vectors of more than %d values", parquet.ErrColumns, l.Name, parquet.MaxWidth)
	}
	return width, nil
}

// width is that of one column's vectors.
func (o Opened) width(l parquet.Leaf, layout string) (int, error) {
	if l.Depth == 0 || (layout == Episodes && l.Depth == 1) {
		return 1, nil
	}
	return o.Table.Width(l)
}
