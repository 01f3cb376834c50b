package table

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"diffstitch/io/snapshot"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"
)

const (
	// attempts bounds how often a publication is tried where others come first. Each time
	// one of them has been published.
	attempts = 64
	// pause is how long the first attempt after a conflict waits, and how much longer each
	// further one, up to longestPause.
	pause, longestPause = 20 * time.Millisecond, time.Second
	// settleWithin is how long it is asked after a failed commit what became of it, also
	// where the publisher was stopped.
	settleWithin = 30 * time.Second
)

// publication is one snapshot's way into one table.
type publication struct {
	options  Options
	snapshot snapshot.Snapshot
	mode     Mode
	table    table.Identifier
	parts    []snapshot.Part // that have rows
	uris     []string        // of the same
	schema   *iceberg.Schema
	catalog  *opened

	files  []iceberg.DataFile // of uris, with the ids of the table's columns
	madeOf string             // the table and the schema that files were made for
}

// run attempts until the table holds the snapshot, or cannot.
func (p *publication) run(ctx context.Context) (Result, error) {
	for attempt := range attempts {
		r, err := p.attempt(ctx)
		if !errors.Is(err, errMoved) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("table: publishing %s: %w", p.snapshot.ID, context.Cause(ctx))
		case <-time.After(min(time.Duration(attempt+1)*pause, longestPause)):
		}
	}
	return Result{}, fmt.Errorf("table: publishing %s to %s: %w, %d times; publish again", p.snapshot.ID, p.options.Table, ErrContended, attempts)
}

// attempt reads the table, and commits on the condition that it stays as it was read.
func (p *publication) attempt(ctx context.Context) (Result, error) {
	t, err := p.open(ctx)
	if err != nil {
		return Result{}, err
	}
	if err := fits(t, p.options.Table, p.snapshot.Manifest, p.schema); err != nil {
		return Result{}, err
	}
	c, err := p.change(ctx, t)
	switch {
	case err != nil:
		return Result{}, err
	case c == nil:
		return p.result(t, t.CurrentSnapshot(), false), nil
	}
	tx := t.NewTransaction()
	if err := errors.Join(tx.AssertRefSnapshotID(table.MainBranch), c.stage(ctx, tx, facts(p.snapshot.Manifest, p.mode))); err != nil {
		return Result{}, fmt.Errorf("table: preparing %s for %s: %w", p.snapshot.ID, p.options.Table, err)
	}
	staged, err := tx.StagedTable()
	if err != nil {
		return Result{}, fmt.Errorf("table: preparing %s for %s: %w", p.snapshot.ID, p.options.Table, err)
	}
	committed, err := tx.Commit(ctx)
	if err != nil {
		return p.settle(ctx, t, staged.CurrentSnapshot().SnapshotID, err)
	}
	return p.result(committed, committed.CurrentSnapshot(), true), nil
}

// settle finds out what became of a commit that failed, or whose answer was lost.
func (p *publication) settle(ctx context.Context, before *table.Table, staged int64, failed error) (Result, error) {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
	defer cancel()
	now, err := p.catalog.LoadTable(asking, p.table)
	switch {
	case err != nil:
		return Result{}, fmt.Errorf("table: publishing %s to %s: %w; publish again: %w", p.snapshot.ID, p.options.Table, ErrUnknown, errors.Join(failed, err))
	case now.SnapshotByID(staged) != nil:
		return p.result(now, now.SnapshotByID(staged), true), nil
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("table: publishing %s to %s: %w", p.snapshot.ID, p.options.Table, context.Cause(ctx))
	case headOf(now) != headOf(before) || errors.Is(failed, table.ErrCommitFailed):
		return Result{}, errMoved
	case p.catalog.CatalogType() == catalog.SQL: // no answer is under way
		return Result{}, fmt.Errorf("table: publishing %s to %s: %w, nothing was changed: %w", p.snapshot.ID, p.options.Table, ErrCatalog, failed)
	}
	return Result{}, fmt.Errorf("table: publishing %s to %s: %w; publish again: %w", p.snapshot.ID, p.options.Table, ErrUnknown, failed)
}

// headOf is the id of a table's current snapshot; 0 where it has none.
func headOf(t *table.Table) int64 {
	if s := t.CurrentSnapshot(); s != nil {
		return s.SnapshotID
	}
	return 0
}

func (p *publication) result(t *table.Table, at *table.Snapshot, published bool) Result {
	r := Result{
		Table: p.options.Table, SnapshotID: p.snapshot.ID, Mode: p.mode, Published: published,
		Files: len(p.uris), Rows: p.snapshot.Manifest.Rows(),
	}
	if at != nil {
		r.Iceberg, r.Metadata, r.TableRows = at.SnapshotID, t.MetadataLocation(), summed(at, "total-records")
	}
	return r
}

// summed is a count of a snapshot's summary; 0 where it has none.
func summed(s *table.Snapshot, key string) int64 {
	n, _ := strconv.ParseInt(property(s, key), 10, 64) // another writer may leave it out
	return n
}

func property(s *table.Snapshot, key string) string {
	if s == nil || s.Summary == nil {
		return ""
	}
	return s.Summary.Properties[key]
}

// open loads the table, and makes it where there is none.
func (p *publication) open(ctx context.Context) (*table.Table, error) {
	t, err := p.catalog.LoadTable(ctx, p.table)
	if absent(err) {
		t, err = p.make(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("table: opening %s: %w: %w", p.options.Table, ErrCatalog, err)
	}
	return t, reachable(ctx, t, p.options.Table)
}

// reachable refuses a table whose files lie where this program cannot read and write.
func reachable(ctx context.Context, t *table.Table, name string) error {
	if _, err := t.FS(ctx); err != nil {
		return fmt.Errorf("table: %s lies at %s: %w: tables are read and written on file systems alone: %w", name, t.Location(), ErrOptions, err)
	}
	return nil
}

func absent(err error) bool {
	return errors.Is(err, catalog.ErrNoSuchTable) || errors.Is(err, catalog.ErrNoSuchNamespace)
}

// make makes the table and its namespace; where another publisher came first, it is that
// one's.
func (p *publication) make(ctx context.Context) (*table.Table, error) {
	namespace := catalog.NamespaceFromIdent(p.table)
	if err := p.catalog.CreateNamespace(ctx, namespace, nil); err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
		return nil, fmt.Errorf("making namespace %s: %w", strings.Join(namespace, "."), err)
	}
	properties := widths(p.snapshot.Manifest)
	properties[table.GCEnabledKey] = "false"
	options := []catalog.CreateTableOpt{catalog.WithProperties(properties)}
	if p.catalog.warehouse != "" {
		options = append(options, catalog.WithLocation(p.catalog.warehouse+"/"+strings.Join(p.table, "/")))
	}
	t, err := p.catalog.CreateTable(ctx, p.table, p.schema, options...)
	if errors.Is(err, catalog.ErrTableAlreadyExists) {
		return p.catalog.LoadTable(ctx, p.table)
	}
	return t, err
}

// dataFiles describes the snapshot's files to the table: rows, sizes, bounds of columns.
// They are read once, and again only if the table is another one.
func (p *publication) dataFiles(ctx context.Context, t *table.Table) error {
	key := fmt.Sprint(t.Metadata().TableUUID(), t.Schema().ID)
	if p.madeOf == key {
		return nil
	}
	from, err := t.FS(ctx)
	if err != nil {
		return err
	}
	files := make([]iceberg.DataFile, len(p.uris))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, uri := range p.uris {
		group.Go(func() (err error) {
			if files[i], err = table.FileToDataFile(ctx, from, uri, t.Schema(), t.Spec(), 0, t.Properties()); err != nil {
				return fmt.Errorf("%q: %w", uri, err)
			}
			if part := p.parts[i]; files[i].Count() != part.Rows {
				return fmt.Errorf("%q has %d rows, its manifest says %d: %w", uri, files[i].Count(), part.Rows, ErrNotPublished)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("table: describing the files of %s: %w", p.snapshot.ID, err)
	}
	p.files, p.madeOf = files, key
	return nil
}
