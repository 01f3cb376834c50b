// Package table publishes what is in a published folder to an Iceberg table, and says
// what such a table holds.
package table

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"diffstitch/io/snapshot"
	"diffstitch/io/table"
	"diffstitch/pipelines/failure"
)

// Options say which table.
type Options = table.Options

// PublishOptions say what is published where.
type PublishOptions struct {
	Options
	Out string // a published folder
	// ID is the snapshot to take; "" is the one that CURRENT names.
	ID string
	// Append adds to what is there; otherwise the snapshot takes its place.
	Append bool
}

// Publish has a table hold a snapshot of a folder.
func Publish(ctx context.Context, o PublishOptions) (Published, error) {
	find := func(out, id string) (snapshot.Snapshot, error) { return snapshot.Current(out) }
	if o.ID != "" {
		find = snapshot.Find
	}
	s, err := find(o.Out, o.ID)
	if err != nil {
		return Published{}, fmt.Errorf("%w: %w", failure.ErrData, err)
	}
	mode := table.Replace
	if o.Append {
		mode = table.Append
	}
	r, err := table.Publish(ctx, o.Options, s, mode)
	return Published{r}, kind(err)
}

// Show says what a table holds.
func Show(ctx context.Context, o Options) (Shown, error) {
	d, err := table.Show(ctx, o)
	return Shown{d}, kind(err)
}

// kind says whose fault an error is, by which the exit code is chosen.
func kind(err error) error {
	switch {
	case errors.Is(err, table.ErrOptions):
		return fmt.Errorf("%w: %w", failure.ErrUsage, err)
	case errors.Is(err, table.ErrNotPublished), errors.Is(err, table.ErrColumns), errors.Is(err, table.ErrForeign), errors.Is(err, table.ErrSuperseded):
		return fmt.Errorf("%w: %w", failure.ErrData, err)
	}
	return err
}

// Published is what came of publishing.
type Published struct{ table.Result }

// Text shows it to a reader.
func (p Published) Text() string {
	if !p.Published {
		return fmt.Sprintf("%s has %s already: nothing was done (its snapshot %d, %d rows)\n", p.Table, p.SnapshotID, p.Iceberg, p.TableRows)
	}
	how := "is all there is in"
	if p.Mode == table.Append {
		how = "was added to"
	}
	return fmt.Sprintf("%s, %d rows in %d files, %s %s, which has %d rows now (its snapshot %d)\nmetadata: %s\n",
		p.SnapshotID, p.Rows, p.Files, how, p.Table, p.TableRows, p.Iceberg, p.Metadata)
}

// Shown is what a table holds.
type Shown struct{ table.Description }

// Text shows it to a reader, a line a snapshot.
func (s Shown) Text() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "%s, metadata: %s\n", s.Table, s.Metadata)
	lines := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(lines, "snapshot\tcommitted\toperation\tD*\tmode\trows\tfiles\t")
	for _, v := range s.Snapshots {
		current := ""
		if v.Current {
			current = "current"
		}
		fmt.Fprintf(lines, "%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", v.Iceberg, v.At.Format("2006-01-02 15:04:05"), v.Operation, or(v.SnapshotID), or(string(v.Mode)), v.Rows, v.Files, current)
	}
	_ = lines.Flush() // to memory
	for _, folder := range s.Folders {
		fmt.Fprintln(text, "in use:", folder)
	}
	return text.String()
}

// or stands a dash for what is not known.
func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
