package table

import (
	"context"
	"fmt"
	"iter"

	"github.com/apache/iceberg-go"
	icebergio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
)

// change is what makes a table hold a snapshot.
type change struct {
	add, remove []iceberg.DataFile
}

// stage puts the change into a transaction, as one snapshot of the table. The files are
// known not to be there.
func (c *change) stage(ctx context.Context, tx *table.Transaction, properties iceberg.Properties) error {
	if len(c.remove) > 0 {
		return tx.ReplaceDataFilesWithDataFiles(ctx, c.remove, c.add, properties)
	}
	return tx.AddDataFiles(ctx, c.add, properties, table.WithoutDuplicateCheck())
}

// change is what is to be done, nil where the table holds the snapshot.
func (p *publication) change(ctx context.Context, t *table.Table) (*change, error) {
	if p.held(t) {
		return nil, nil
	}
	if err := p.checkOrder(t); err != nil {
		return nil, err
	}
	if err := p.dataFiles(ctx, t); err != nil {
		return nil, err
	}
	live, err := liveFiles(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("table: reading what %s holds: %w: %w", p.options.Table, ErrCatalog, err)
	}
	c := &change{}
	shared := 0
	for i, f := range p.files {
		if _, there := live[f.FilePath()]; there {
			if p.mode == Replace || p.own(i) { // a stream's snapshot has the files of those before
				shared++
			}
			delete(live, f.FilePath())
			continue
		}
		c.add = append(c.add, f)
	}
	if p.mode == Replace {
		for _, f := range live {
			c.remove = append(c.remove, f)
		}
	}
	if err := p.checkShared(t, c, shared); err != nil || len(c.add)+len(c.remove) == 0 {
		return nil, err
	}
	return c, nil
}

// checkShared refuses what cannot be mended by adding and removing files: of the
// snapshot's own files, some are in the table, or rows of them were deleted since.
func (p *publication) checkShared(t *table.Table, c *change, shared int) error {
	switch {
	case shared == 0:
		return nil
	case summed(t.CurrentSnapshot(), "total-delete-files") > 0:
		return fmt.Errorf("table: %s: %w: rows of %s were deleted from it; roll it back to before", p.options.Table, ErrForeign, p.snapshot.ID)
	case p.mode == Append && len(c.add) > 0:
		return fmt.Errorf("table: %s: %w: it holds some files of %s and not others", p.options.Table, ErrForeign, p.snapshot.ID)
	}
	return nil
}

// held is whether the table's history says that it holds the snapshot: for Replace, that
// it is all there is; for Append, that it was added since the last Replace.
func (p *publication) held(t *table.Table) bool {
	for s := range history(t) {
		replaced := property(s, modeKey) == string(Replace)
		if property(s, idKey) == p.snapshot.ID && (replaced || p.mode == Append) {
			return true
		}
		if p.mode == Replace || replaced {
			return false
		}
	}
	return false
}

// checkOrder refuses to replace a later snapshot by an earlier one, as a publisher that
// was late would.
func (p *publication) checkOrder(t *table.Table) error {
	if p.mode != Replace || p.options.Older {
		return nil
	}
	for s := range history(t) {
		if id := property(s, idKey); id != "" {
			if publishedAt(id) > publishedAt(p.snapshot.ID) {
				return fmt.Errorf("table: %s has %s, which is later than %s: %w; allow older snapshots if it is to go back", p.options.Table, id, p.snapshot.ID, ErrSuperseded)
			}
			return nil
		}
	}
	return nil
}

// publishedAt is the part of a snapshot's id that sorts by time.
func publishedAt(id string) string { return id[:min(len(id), len("20060102T150405Z"))] }

// history are the snapshots that led to the current one, latest first, as far as they
// have not been expired.
func history(t *table.Table) iter.Seq[*table.Snapshot] {
	return func(yield func(*table.Snapshot) bool) {
		for s := t.CurrentSnapshot(); s != nil && yield(s); {
			if s.ParentSnapshotID == nil {
				return
			}
			s = t.SnapshotByID(*s.ParentSnapshotID)
		}
	}
}

// liveFiles are the data files of a table's current snapshot by their location.
func liveFiles(ctx context.Context, t *table.Table) (map[string]iceberg.DataFile, error) {
	live := map[string]iceberg.DataFile{}
	s := t.CurrentSnapshot()
	if s == nil {
		return live, nil
	}
	from, err := t.FS(ctx)
	if err != nil {
		return nil, err
	}
	manifests, err := s.Manifests(from)
	if err != nil {
		return nil, err
	}
	for _, m := range manifests {
		files, err := filesOf(from, m)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			live[f.FilePath()] = f
		}
	}
	return live, nil
}

// filesOf are the data files that a manifest of a table lists as there.
func filesOf(from icebergio.IO, m iceberg.ManifestFile) (files []iceberg.DataFile, err error) {
	if m.ManifestContent() != iceberg.ManifestContentData {
		return nil, nil
	}
	for entry, err := range m.Entries(from, true) {
		if err != nil {
			return nil, fmt.Errorf("manifest %q: %w", m.FilePath(), err)
		}
		files = append(files, entry.DataFile())
	}
	return files, nil
}
