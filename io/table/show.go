package table

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	icebergio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
)

// Description is what a table holds.
type Description struct {
	Table    string `json:"table"`
	Location string `json:"location"`
	Metadata string `json:"metadata"` // where its metadata lies
	// Snapshots are the table's, oldest first, but those that were expired.
	Snapshots []Version `json:"snapshots"`
	// Folders are those that data files of some snapshot lie in, of published folders
	// OUT/snapshots/<id>/data. While they are listed here they must not be removed.
	Folders []string `json:"folders"`
}

// Version is one snapshot of a table.
type Version struct {
	Iceberg   int64     `json:"iceberg_snapshot_id"`
	At        time.Time `json:"at"`
	Current   bool      `json:"current"`
	Operation string    `json:"operation"` // Iceberg's: append, overwrite, …
	// SnapshotID is that of the D* that was published with it; "" of another's commit.
	SnapshotID string `json:"snapshot_id,omitempty"`
	Mode       Mode   `json:"mode,omitempty"`
	Rows       int64  `json:"rows"`  // that a reader of it gets
	Files      int    `json:"files"` // that they are read from
	// Facts are what the manifest said.
	Facts map[string]string `json:"facts,omitempty"`
	// Folders are those that its data files lie in.
	Folders []string `json:"folders"`
}

// Show describes a table. One that is not there gives ErrNoTable.
func Show(ctx context.Context, o Options) (d Description, err error) {
	id, err := o.identifier()
	if err != nil {
		return Description{}, err
	}
	c, err := o.open(ctx, false)
	if err != nil {
		return Description{}, err
	}
	defer func() { err = cmp.Or(err, closed(c)) }()
	t, err := c.LoadTable(ctx, id)
	switch {
	case absent(err):
		return Description{}, fmt.Errorf("table: %s in %s: %w", o.Table, o.Catalog, ErrNoTable)
	case err != nil:
		return Description{}, fmt.Errorf("table: opening %s: %w: %w", o.Table, ErrCatalog, err)
	}
	if err := reachable(ctx, t, o.Table); err != nil {
		return Description{}, err
	}
	return describe(ctx, o.Table, t)
}

func describe(ctx context.Context, name string, t *table.Table) (Description, error) {
	d := Description{Table: name, Location: t.Location(), Metadata: t.MetadataLocation(), Snapshots: []Version{}}
	from, err := t.FS(ctx)
	if err != nil {
		return d, fmt.Errorf("table: reading %s: %w: %w", name, ErrCatalog, err)
	}
	known, all := manifestFolders{}, map[string]bool{}
	for _, s := range t.Metadata().Snapshots() {
		v := version(&s)
		v.Current = s.SnapshotID == headOf(t)
		if v.Folders, v.Files, err = known.of(from, s); err != nil {
			return d, fmt.Errorf("table: reading snapshot %d of %s: %w: %w", s.SnapshotID, name, ErrCatalog, err)
		}
		for _, folder := range v.Folders {
			all[folder] = true
		}
		d.Snapshots = append(d.Snapshots, v)
	}
	slices.SortStableFunc(d.Snapshots, func(a, b Version) int { return a.At.Compare(b.At) })
	d.Folders = slices.Sorted(maps.Keys(all))
	return d, nil
}

func version(s *table.Snapshot) Version {
	v := Version{
		Iceberg: s.SnapshotID, At: time.UnixMilli(s.TimestampMs).UTC(), Rows: summed(s, "total-records"),
		SnapshotID: property(s, idKey), Mode: Mode(property(s, modeKey)),
	}
	if s.Summary == nil {
		return v
	}
	v.Operation = string(s.Summary.Operation)
	for key, value := range s.Summary.Properties {
		fact, ours := strings.CutPrefix(key, prefix)
		if !ours || key == idKey || key == modeKey {
			continue
		}
		if v.Facts == nil {
			v.Facts = map[string]string{}
		}
		v.Facts[fact] = value
	}
	return v
}

// manifestFolders are the folders that the files of manifests lie in, with how many files
// there are in each. Snapshots share manifests, which are read once.
type manifestFolders map[string]map[string]int

func (known manifestFolders) of(from icebergio.IO, s table.Snapshot) (folders []string, files int, err error) {
	manifests, err := s.Manifests(from)
	if err != nil {
		return nil, 0, err
	}
	found := map[string]bool{}
	for _, m := range manifests {
		counts, err := known.read(from, m)
		if err != nil {
			return nil, 0, err
		}
		for folder, n := range counts {
			found[folder] = true
			files += n
		}
	}
	return slices.Sorted(maps.Keys(found)), files, nil
}

func (known manifestFolders) read(from icebergio.IO, m iceberg.ManifestFile) (map[string]int, error) {
	if counts, done := known[m.FilePath()]; done {
		return counts, nil
	}
	files, err := filesOf(from, m)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, f := range files {
		counts[folderOf(f.FilePath())]++
	}
	known[m.FilePath()] = counts
	return counts, nil
}

// folderOf is the folder of a location. path.Dir would make one slash of the scheme's.
func folderOf(location string) string { return location[:max(strings.LastIndex(location, "/"), 0)] }
