package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
)

// ExportOptions say what is written in another tool's layout, and where.
type ExportOptions struct {
	Data   Data
	Layout string // one of dataset.Exports
	Out    string // folder, which must not be there yet
	// ID is what Minari calls the dataset; the name of Out where empty.
	ID string
	// Task and FPS, the steps a second, are what LeRobot asks for; the task is the
	// name of Out where empty.
	Task string
	FPS  int
}

// ImportOptions say what is written in the canonical layout, and where.
type ImportOptions struct {
	Data Data
	Out  string // a file called *.parquet, or else a folder
}

// Exchanged is what came of an export or an import.
type Exchanged struct {
	Layout      string `json:"layout"`
	Out         string `json:"out"`
	Episodes    int64  `json:"episodes"`
	Transitions int64  `json:"transitions"`
	Rejected    int    `json:"rejected_episodes"`
	// UnknownFinals are the episodes whose observation after the last step is not
	// known, and so repeats the last.
	UnknownFinals int64 `json:"unknown_final_observations"`
	// OwnNext are the episodes whose own next observations, which differ from the
	// observations a step later, the layout has no place for.
	OwnNext int64 `json:"own_next_observations_left_out"`
	// Renumbered is whether the episodes got new ids, since files shared theirs.
	Renumbered bool `json:"renumbered"`
	// Columns are the data's own names, and so the order in which vectors were
	// flattened.
	Columns map[string]string `json:"columns"`
}

// Text shows what was done to a reader.
func (x Exchanged) Text() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "%d episodes, %d transitions, layout %s: %s\n", x.Episodes, x.Transitions, x.Layout, x.Out)
	for _, name := range []string{"observations", "next_observations", "actions"} {
		if column := x.Columns[name]; strings.Contains(column, "+") {
			fmt.Fprintf(text, "%s are %s, in this order (--column %s=… names another)\n", name, column, name)
		}
	}
	for _, line := range []struct {
		count int64
		what  string
	}{
		{int64(x.Rejected), "episodes cannot be used, and are left out (diffstitch inspect says why)"},
		{x.UnknownFinals, "episodes have no known observation after the last step: it repeats the last"},
		{x.OwnNext, "episodes have next observations of their own, for which the layout has no place: they are left out"},
	} {
		if line.count > 0 {
			fmt.Fprintf(text, "%d %s\n", line.count, line.what)
		}
	}
	if x.Renumbered {
		fmt.Fprintln(text, "files shared episode ids: the episodes are numbered anew")
	}
	return text.String()
}

// ExportDataset writes a dataset in another tool's layout.
func ExportDataset(ctx context.Context, o ExportOptions) (Exchanged, error) {
	if !slices.Contains(dataset.Exports, o.Layout) {
		return Exchanged{}, fmt.Errorf("%w: layout %q cannot be written; %s can", ErrUsage, o.Layout, strings.Join(dataset.Exports, ", "))
	}
	if o.FPS < 1 {
		return Exchanged{}, fmt.Errorf("%w: %d steps a second", ErrUsage, o.FPS)
	}
	o.ID, o.Task = cmp.Or(o.ID, minariID(o.Out)), cmp.Or(o.Task, filepath.Base(o.Out))
	source, err := o.Data.source()
	if err != nil {
		return Exchanged{}, err
	}
	return source.exchange(Exchanged{Layout: o.Layout, Out: o.Out}, func(x *Exchanged) error {
		return storage.WriteFolder(o.Out, func(dir string) error {
			out, err := dataset.NewExport(dir, dataset.ExportConfig{
				Layout: o.Layout, ObservationDim: source.shape.ObservationDim, ActionDim: source.shape.ActionDim,
				Provenance: source.provenance, Name: o.ID, Task: o.Task, FPS: o.FPS,
			})
			if err != nil {
				return err
			}
			return errors.Join(source.each(ctx, x, out.Write), out.Close())
		})
	})
}

// minariID is the name that a folder gives a dataset; Minari wants a version.
func minariID(out string) string {
	name := filepath.Base(out)
	if at := strings.LastIndex(name, "-v"); at < 0 || strings.Trim(name[at+2:], "0123456789") != "" || name[at+2:] == "" {
		name += "-v0"
	}
	return name
}

// ImportDataset writes a dataset of any layout in the canonical one.
func ImportDataset(ctx context.Context, o ImportOptions) (Exchanged, error) {
	if found := dataset.FolderLayout(o.Data.Path); found != "" && !strings.HasPrefix(found, o.Data.Options.Layout) {
		return Exchanged{}, fmt.Errorf("%w: %q says of itself that its layout is %s, not %s", ErrUsage, o.Data.Path, found, o.Data.Options.Layout)
	}
	source, err := o.Data.source()
	if err != nil {
		return Exchanged{}, err
	}
	return source.exchange(Exchanged{Layout: dataset.Transitions, Out: o.Out}, func(x *Exchanged) error {
		if filepath.Ext(o.Out) != ".parquet" {
			return storage.WriteFolder(o.Out, func(dir string) error { return source.writeParts(ctx, dir, x) })
		}
		if err := os.MkdirAll(filepath.Dir(o.Out), 0o755); err != nil {
			return fmt.Errorf("pipelines: %w", err)
		}
		return storage.WriteWhole(o.Out, func(w io.Writer) error { return source.writeFile(ctx, w, x) })
	})
}

// writeFile writes all episodes as one file.
func (s *source) writeFile(ctx context.Context, w io.Writer, x *Exchanged) error {
	out, err := dataset.NewWriter(w, s.writerConfig())
	if err != nil {
		return err
	}
	if err := s.each(ctx, x, out.Write); err != nil {
		return err
	}
	return out.Close()
}

func (s *source) writerConfig() dataset.WriterConfig {
	return dataset.WriterConfig{ObservationDim: s.shape.ObservationDim, ActionDim: s.shape.ActionDim}
}

// writeParts writes the episodes as files of about as many rows as D* has.
func (s *source) writeParts(ctx context.Context, dir string, x *Exchanged) error {
	var created *storage.Created
	var out *dataset.Writer
	part, rows, partRows := 0, int64(0), DefaultAugment().Mix.PartRows
	end := func() error {
		if out == nil {
			return nil
		}
		err := errors.Join(out.Close(), created.Close())
		out, rows = nil, 0
		part++
		return err
	}
	err := s.each(ctx, x, func(e *trajectory.Episode) (err error) {
		if out == nil {
			if created, err = storage.Create(filepath.Join(dir, fmt.Sprintf("part-%05d.parquet", part))); err != nil {
				return err
			}
			if out, err = dataset.NewWriter(created, s.writerConfig()); err != nil {
				return err
			}
		}
		rows += int64(e.Len())
		if err := out.Write(e); err != nil || rows < partRows {
			return err
		}
		return end()
	})
	return errors.Join(err, end())
}
