package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// ImportOptions say what is written in the canonical layout, and where.
type ImportOptions struct {
	Data input.Data
	Out  string // a file called *.parquet, or else a folder
}

// Import writes a dataset of any layout in the canonical one.
func Import(ctx context.Context, o ImportOptions) (Exchanged, error) {
	if found := dataset.FolderLayout(o.Data.Path); found != "" && !strings.HasPrefix(found, o.Data.Options.Layout) {
		return Exchanged{}, fmt.Errorf("%w: %q says of itself that its layout is %s, not %s", failure.ErrUsage, o.Data.Path, found, o.Data.Options.Layout)
	}
	source, err := open(o.Data, o.Out)
	if err != nil {
		return Exchanged{}, err
	}
	return source.exchange(Exchanged{Layout: dataset.Transitions, Out: o.Out}, func(x *Exchanged) error {
		if filepath.Ext(o.Out) != ".parquet" {
			return storage.WriteFolder(o.Out, func(dir string) error { return source.writeParts(ctx, dir, x) })
		}
		if err := storage.MkdirAll(storage.Dir(o.Out)); err != nil {
			return fmt.Errorf("exchange: %w", err)
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
	return dataset.WriterConfig{
		ObservationDim: s.dataset.Shape.ObservationDim, ActionDim: s.dataset.Shape.ActionDim, OriginalIDs: s.dataset.OriginalIDs,
	}
}

// partRows is how many rows a file of several has, at least, as in D*.
const partRows = datasetio.DefaultPartRows

// writeParts writes the episodes as files of about partRows rows.
func (s *source) writeParts(ctx context.Context, dir string, x *Exchanged) error {
	var created *storage.Created
	var out *dataset.Writer
	part, rows := 0, int64(0)
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
			if created, err = storage.Create(storage.Join(dir, fmt.Sprintf("part-%05d.parquet", part))); err != nil {
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
