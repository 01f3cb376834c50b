// Package minari is the layout of Minari's folders: a file per episode, Parquet or Arrow,
// of a row more than steps. The last one holds the final observation, and padding
// elsewhere.
package minari

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
)

// Layout is what the package does.
var Layout = layout.Layout{
	Name: layout.Minari, Folders: []string{layout.MinariArrow, layout.MinariParquet}, Files: layout.Minari,
	Recognises: recognises,
	Open:       open,
	OpenOther:  openArrow,
	Folder:     folder,
	FolderName: folderName,
	Write:      func(dir string, c layout.ExportConfig) (layout.Writer, error) { return newWriter(dir, c), nil },
}

// recognises is whether a file is Arrow, or looks like the one of an episode.
func recognises(o layout.Opened) bool {
	if o.Table == nil {
		return isArrow(o.Handle)
	}
	return isEpisode(o.Path, o.Leaves)
}

// reader reads a file that holds one episode: T+1 rows. To others it is a file of a
// single row.
type reader struct {
	layout.File
	rows  func() (*layout.Block, error) // all of them
	count int64                         // T+1
	bytes int64                         // that the rows take, about
	meta  episode
	cache *parquet.Cache
}

// episode is what an episode's metadata.json says. The last four are this
// product's own, where the episode is one of D*.
type episode struct {
	ID         *int64 `json:"id"`
	TotalSteps *int64 `json:"total_steps"`

	EpisodeID *int64 `json:"episode_id,omitempty"`
	Source    string `json:"source,omitempty"`
	LowID     *int64 `json:"low_episode_id,omitempty"`
	HighID    *int64 `json:"high_episode_id,omitempty"`
}

const metadataFile = "metadata.json"

// isEpisode is whether a file looks like the one of an episode: the
// columns, and a folder that is named by the episode's number.
func isEpisode(path string, leaves map[string]parquet.Leaf) bool {
	_, numbered := episodeNumber(path)
	for _, name := range []string{"terminations", "truncations"} {
		if _, ok := leaves[name]; !ok {
			return false
		}
	}
	_, ids := leaves["episode_id"]
	return numbered && !ids
}

// episodeNumber is the number that the file's folder is named by.
func episodeNumber(path string) (int64, bool) {
	name := storage.Base(storage.Dir(path))
	number, err := strconv.ParseInt(name, 10, 64)
	return number, err == nil && number >= 0 && name == strconv.FormatInt(number, 10)
}

// open reads a Parquet file.
func open(o layout.Opened, f layout.File) (layout.Reader, error) {
	inner := f
	total := int(f.Schema.Rows)
	r := &reader{count: f.Schema.Rows, rows: func() (*layout.Block, error) {
		rows := layout.NewRows(o.Table, &inner, false, 0)
		defer rows.Close() // nothing was written
		return rows.All(total)
	}}
	for g := range o.Table.Groups() {
		r.bytes += o.Table.GroupBytes(g, f.Columns.Leaves())
	}
	return r, r.hold(f)
}

// hold makes the file one of a single row, which holds an episode.
func (r *reader) hold(f layout.File) error {
	if err := layout.ReadJSON(storage.Join(storage.Dir(f.Path), metadataFile), &r.meta); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	number, numbered := episodeNumber(f.Path)
	if r.meta.EpisodeID == nil && numbered {
		r.meta.EpisodeID = &number
	}
	f.Schema.ImplicitIDs = r.meta.EpisodeID == nil
	f.Schema.Provenance = r.meta.Source != "" && f.Columns.HasAll("generated", "qualification_error")
	f.Schema.Rows = min(r.count, 1)
	r.File, r.cache = f, parquet.NewCache(parquet.MaxCache)
	return nil
}

func (r *reader) Schema() layout.Schema    { return r.File.Schema }
func (r *reader) Groups() int              { return 1 }
func (r *reader) FirstRow(group int) int64 { return int64(group) * r.File.Schema.Rows }
func (r *reader) GroupBytes(int) int64     { return r.bytes }
func (r *reader) Share(c *parquet.Cache)   { r.cache = c }
func (r *reader) Rest()                    {}

// Episodes hands out the one episode.
func (r *reader) Episodes(groups layout.Groups) layout.Stream {
	return &stream{reader: r, done: groups.From == groups.To}
}

// stream hands out the one episode of a file.
type stream struct {
	reader *reader
	done   bool
}

// Next is the episode; parquet.ErrDone after it.
func (s *stream) Next(context.Context) (layout.Item, error) {
	if s.done {
		return layout.Item{}, parquet.ErrDone
	}
	s.done = true
	return s.reader.item()
}

// Close has nothing to give up.
func (s *stream) Close() error { return nil }

// fileKey names a decoded file in a Cache.
type fileKey string

// Fetch reads the episode, which is kept unless it is too large.
func (r *reader) Fetch(trajectory.Location) (layout.Item, error) {
	if r.bytes > parquet.MaxCache {
		return r.item()
	}
	item, _, err := parquet.Cached(r.cache, fileKey(r.Path), func() (layout.Item, int64, error) {
		item, err := r.item()
		return item, r.bytes, err
	})
	return item.Clone(), err
}

// Column takes a column of the whole episode.
func (r *reader) Column(at trajectory.Location, from, to int, column layout.Column) ([]float32, error) {
	item, err := r.Fetch(at)
	if err != nil {
		return nil, err
	}
	return item.Column(from, to, column)
}

// item is the file's episode.
func (r *reader) item() (item layout.Item, err error) {
	defer parquet.Recovered(&err)
	d := layout.NewWhole(&r.File, 0, valueOr(r.meta.EpisodeID, 0))
	place := trajectory.Location{Rows: 1}
	steps := int(r.count) - 1
	switch said := r.meta.TotalSteps; {
	case steps < 1:
		d.Reject(layout.TooShort, "it has %d rows, of which the last holds the final observation", r.count)
	case r.bytes > 4*parquet.MaxEpisodeValues*int64(len(r.Columns)):
		d.Reject(layout.TooLong, "it takes more than %d bytes", 4*parquet.MaxEpisodeValues*len(r.Columns))
	case said != nil && *said != int64(steps):
		d.Reject(layout.LengthsDiffer, "%d rows, of which the last holds the final observation, but total_steps of %s is %d", steps+1, metadataFile, *said)
	}
	if d.Rejected() != nil {
		return layout.Item{Location: place, Reject: d.Rejected()}, nil
	}
	b, err := r.rows()
	if err != nil {
		return layout.Item{}, err
	}
	r.meta.fill(b, r.File.Schema.Provenance)
	d.Add(b, 0, steps)
	final := d.Final(b, steps)
	item = d.Finish()
	item.Location = place
	if item.Episode != nil {
		item.Episode.FinalObservation = final
	}
	return item, nil
}

// fill gives the rows the columns of D* that are said of the whole episode.
func (m episode) fill(b *layout.Block, provenance bool) {
	if m.EpisodeID != nil {
		b.IDs = parquet.EveryRow(*m.EpisodeID, b.Rows)
	}
	if !provenance {
		return
	}
	b.Source = parquet.EveryRow(m.Source, b.Rows)
	b.LowIDs, b.HighIDs = parquet.EveryRow(valueOr(m.LowID, 0), b.Rows), parquet.EveryRow(valueOr(m.HighID, 0), b.Rows)
	if m.LowID == nil {
		b.LowIDs.Lengths = slices.Repeat([]int32{parquet.Absent}, b.Rows)
	}
	if m.HighID == nil {
		b.HighIDs.Lengths = slices.Repeat([]int32{parquet.Absent}, b.Rows)
	}
	b.Qualification.Blank(b.Unjudged)
	b.BlankUnknown()
}

func valueOr[V any](value *V, otherwise V) V {
	if value == nil {
		return otherwise
	}
	return *value
}
