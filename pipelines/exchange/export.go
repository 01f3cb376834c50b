package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// ExportOptions say what is written in another tool's layout, and where.
type ExportOptions struct {
	Data   input.Data
	Layout string // one of dataset.Exports
	Out    string // folder, which must not be there yet
	// ID is what Minari calls the dataset; the name of Out where empty.
	ID string
	// Task and FPS, the steps per second, are what LeRobot asks for; the task is the
	// name of Out where empty.
	Task string
	FPS  int
}

// Export writes a dataset in another tool's layout.
func Export(ctx context.Context, o ExportOptions) (Exchanged, error) {
	if !slices.Contains(dataset.Exports, o.Layout) {
		return Exchanged{}, fmt.Errorf("%w: layout %q cannot be written; %s can", failure.ErrUsage, o.Layout, strings.Join(dataset.Exports, ", "))
	}
	if o.FPS < 1 {
		return Exchanged{}, fmt.Errorf("%w: %d steps per second", failure.ErrUsage, o.FPS)
	}
	o.ID, o.Task = cmp.Or(o.ID, minariID(o.Out)), cmp.Or(o.Task, filepath.Base(o.Out))
	source, err := open(o.Data, o.Out)
	if err != nil {
		return Exchanged{}, err
	}
	return source.exchange(Exchanged{Layout: o.Layout, Out: o.Out}, func(x *Exchanged) error {
		return storage.WriteFolder(o.Out, func(dir string) error {
			out, err := dataset.NewExport(dir, dataset.ExportConfig{
				Layout: o.Layout, ObservationDim: source.dataset.Shape.ObservationDim, ActionDim: source.dataset.Shape.ActionDim,
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
