// Package table publishes snapshots of D* to an Apache Iceberg table, and says what such
// a table holds.
//
// The Parquet files are registered where they lie: a table has files of its own for its
// metadata alone. A publication is one snapshot of the table, which readers see whole or
// not at all, with what the manifest says as its properties. It is made on the condition
// that the table is as it was read; where another publisher came first, it is read anew.
// So publishing is safe to repeat, after a crash at any point and from many processes.
//
// What others delete the files of D* by would break the published folder that they
// belong to: the table is made with gc.enabled=false, by which Iceberg's own tools leave
// data files alone.
package table

import (
	"cmp"
	"context"
	"fmt"

	"diffstitch/io/snapshot"
)

// Options say which table.
type Options struct {
	// Catalog is a SQLite file ("catalog.db" or "sqlite:///abs/catalog.db"), or the
	// address of a REST catalog (http:// or https://), whose secrets are read from the
	// environment: TokenVariable and those beside it.
	Catalog string
	// Table is its name, NAMESPACE.NAME; a namespace may have several parts.
	Table string
	// Warehouse is where the table's own files go: a folder, by default "warehouse" beside
	// a SQLite file; to a REST catalog, the name of the warehouse to use.
	Warehouse string
	// Older has a snapshot replace a later one.
	Older bool
}

// Mode is how a snapshot goes into the table.
type Mode string

// The modes.
const (
	// Replace is for a D* that was made anew: it becomes the table's whole content.
	Replace Mode = "replace"
	// Append is for a part of a stream: its files are added to those that are there.
	Append Mode = "append"
)

// Result is what came of publishing.
type Result struct {
	Table      string `json:"table"`
	SnapshotID string `json:"snapshot_id"` // of D*
	Mode       Mode   `json:"mode"`
	// Published is false where the table had the snapshot already.
	Published bool `json:"published"`
	// Iceberg is the id of the table's snapshot that has it.
	Iceberg int64 `json:"iceberg_snapshot_id"`
	Files   int   `json:"files"` // of the snapshot of D*
	Rows    int64 `json:"rows"`  // of the same
	// TableRows is how many rows the table has with it, as the table says.
	TableRows int64 `json:"table_rows"`
	// Metadata is where the table's metadata lies, for readers without a catalog.
	Metadata string `json:"metadata"`
}

// Publish has a table hold a snapshot. Where it does already, nothing is done. It fails
// with ErrNotPublished for a snapshot whose files are not those of its manifest, with
// ErrColumns where the table has other columns, with ErrSuperseded where the table has a
// later one, with ErrUnknown where the catalog's answer was lost; then, and after a
// crash, the same call is right.
func Publish(ctx context.Context, o Options, s snapshot.Snapshot, mode Mode) (r Result, err error) {
	p, err := newPublication(o, s, mode)
	if err != nil {
		return Result{}, err
	}
	p.catalog, err = o.open(ctx, true)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = cmp.Or(err, closed(p.catalog)) }()
	return p.run(ctx)
}

func closed(c *opened) error {
	if err := c.close(); err != nil {
		return fmt.Errorf("table: closing the catalog: %w", err)
	}
	return nil
}

// newPublication checks all that can be checked before the catalog is opened.
func newPublication(o Options, s snapshot.Snapshot, mode Mode) (*publication, error) {
	if mode != Replace && mode != Append {
		return nil, fmt.Errorf("table: mode %q: %w: %s or %s", mode, ErrOptions, Replace, Append)
	}
	id, err := o.identifier()
	if err != nil {
		return nil, err
	}
	p := &publication{options: o, snapshot: s, mode: mode, table: id}
	if err := p.checkSnapshot(); err != nil {
		return nil, err
	}
	var paths []string
	for i, path := range s.Files() {
		if s.Manifest.Parts[i].Rows == 0 {
			continue
		}
		uri, err := URI(path)
		if err != nil {
			return nil, err
		}
		paths, p.uris = append(paths, path), append(p.uris, uri)
	}
	fields, err := fieldsOf(s.Manifest, paths)
	if err != nil {
		return nil, err
	}
	p.schema, err = schemaOf(fields)
	return p, err
}

// own is whether a part lies in the snapshot's own folder.
func (p *publication) own(part int) bool { return p.parts[part].Snapshot == "" }

// checkSnapshot refuses what is not published: no id, no files, or others than listed.
func (p *publication) checkSnapshot() error {
	s := p.snapshot
	for _, part := range s.Manifest.Parts {
		if part.Rows > 0 {
			p.parts = append(p.parts, part)
		}
	}
	if s.ID == "" || s.ID != s.Manifest.ID || len(p.parts) == 0 {
		return fmt.Errorf("table: %q: %w: no manifest names files with rows", s.Dir, ErrNotPublished)
	}
	if err := s.Check(false); err != nil {
		return fmt.Errorf("table: %w: %w", ErrNotPublished, err)
	}
	return nil
}
