package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
)

// whole is a file that holds one episode of the Minari layout: T+1 rows, of
// which the last holds the final observation, and padding elsewhere.
type whole struct {
	rows  func() (*block, error) // all of them
	count int64                  // T+1
	bytes int64                  // that the rows take, about
	meta  minariEpisode
}

// minariEpisode is what an episode's metadata.json says. The last four are this
// product's own, where the episode is one of D*.
type minariEpisode struct {
	ID         *int64 `json:"id"`
	TotalSteps *int64 `json:"total_steps"`

	EpisodeID *int64 `json:"episode_id,omitempty"`
	Source    string `json:"source,omitempty"`
	LowID     *int64 `json:"low_episode_id,omitempty"`
	HighID    *int64 `json:"high_episode_id,omitempty"`
}

const (
	minariMetadata = "metadata.json"
	// maxMetadata bounds the metadata that is read, in bytes. Spaces of images
	// spell out a bound for every pixel.
	maxMetadata = 64 << 20
)

// isMinariEpisode is whether a file looks like the one of an episode: the
// columns, and a folder that is named by the episode's number.
func isMinariEpisode(path string, leaves map[string]leaf) bool {
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
	name := filepath.Base(filepath.Dir(path))
	number, err := strconv.ParseInt(name, 10, 64)
	return number, err == nil && number >= 0 && name == strconv.FormatInt(number, 10)
}

// rowsOfTable reads all rows of the file, their number and what they take.
func (f *File) rowsOfTable() *whole {
	inner := &File{path: f.path, reader: f.reader, bound: f.bound, schema: f.schema, starts: f.starts, cache: f.cache}
	w := &whole{rows: inner.allRows, count: f.schema.Rows}
	for g := range inner.all().To {
		w.bytes += inner.groupBytes(g)
	}
	return w
}

func (f *File) allRows() (*block, error) {
	t := newTable(f)
	defer t.close() // nothing was written
	rows := &block{}
	for {
		b, err := t.next(f.schema.Rows)
		if err == errDone {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		rows.grow(b, int(f.schema.Rows))
	}
}

// holdWhole makes the file one of a single row, which holds an episode.
func (f *File) holdWhole(w *whole) error {
	if err := readMetadata(filepath.Join(filepath.Dir(f.path), minariMetadata), &w.meta); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	number, numbered := episodeNumber(f.path)
	if w.meta.EpisodeID == nil && numbered {
		w.meta.EpisodeID = &number
	}
	f.schema.ImplicitIDs = w.meta.EpisodeID == nil
	f.schema.Provenance = w.meta.Source != "" && f.bound.hasAll("generated", "qualification_error")
	f.schema.Rows = min(w.count, 1)
	f.starts = []int64{0, f.schema.Rows}
	f.whole = w
	return nil
}

// readMetadata reads a JSON file.
func readMetadata(path string, into any) (err error) {
	f, err := storage.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	if f.Size() > maxMetadata {
		return fmt.Errorf("%w: %q has %d bytes", ErrMetadata, path, f.Size())
	}
	data, err := io.ReadAll(f.Reader())
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrMetadata, path, err)
	}
	return nil
}

// wholeStream hands out the one episode of a file.
type wholeStream struct {
	f    *File
	done bool
}

func (s *wholeStream) next() (Item, error) {
	if s.done {
		return Item{}, errDone
	}
	s.done = true
	return s.f.wholeItem()
}

func (s *wholeStream) close() error { return nil }

// wholeItem is the file's episode.
func (f *File) wholeItem() (item Item, err error) {
	defer recovered(&err)
	d := draft{f: f, hasID: true}
	if id := f.whole.meta.EpisodeID; id != nil {
		d.id = *id
	}
	place := trajectory.Location{Rows: 1}
	steps := int(f.whole.count) - 1
	switch said := f.whole.meta.TotalSteps; {
	case steps < 1:
		d.reject(TooShort, "it has %d rows, of which the last holds the final observation", f.whole.count)
	case f.whole.bytes > 4*maxEpisodeValues*int64(len(f.bound)):
		d.reject(TooLong, "it takes more than %d bytes", 4*maxEpisodeValues*len(f.bound))
	case said != nil && *said != int64(steps):
		d.reject(LengthsDiffer, "%d rows, of which the last holds the final observation, but total_steps of %s is %d", steps+1, minariMetadata, *said)
	}
	if d.fault != nil {
		return Item{Location: place, Reject: d.fault}, nil
	}
	b, err := f.whole.rows()
	if err != nil {
		return Item{}, err
	}
	f.whole.meta.fill(b, f.schema.Provenance)
	d.add(b, 0, steps)
	final := d.final(b, steps)
	item = d.finish()
	item.Location = place
	if item.Episode != nil {
		item.Episode.FinalObservation = final
	}
	return item, nil
}

// final is the observation of the last row; nil where it repeats the one before,
// and so is unknown.
func (d *draft) final(b *block, row int) []float32 {
	checkColumn(d, "observations", &b.observations, b.first, row, row+1)
	final := b.observations.row(row)
	if i := notFinite(final); i >= 0 {
		d.reject(NotFinite, "final observation holds %v", final[i])
	}
	if sameBits(final, b.observations.row(row-1)) {
		return nil
	}
	return slices.Clone(final)
}

// fill gives the rows the columns of D* that are said of the whole episode.
func (m minariEpisode) fill(b *block, provenance bool) {
	if m.EpisodeID != nil {
		b.ids = everyRow(*m.EpisodeID, b.rows)
	}
	if !provenance {
		return
	}
	b.source = everyRow(m.Source, b.rows)
	b.lowID, b.highID = everyRow(valueOr(m.LowID, 0), b.rows), everyRow(valueOr(m.HighID, 0), b.rows)
	if m.LowID == nil {
		b.lowID.lengths = slices.Repeat([]int32{absent}, b.rows)
	}
	if m.HighID == nil {
		b.highID.lengths = slices.Repeat([]int32{absent}, b.rows)
	}
	b.qualification.blank(b.unjudged)
}

// unjudged is whether a row has no qualification error: one that was not generated,
// or of a synthetic episode, where such a layout has something in its place that is
// no distance.
func (b *block) unjudged(row int) bool {
	return !b.generated.values[row] || trajectory.Synthetic(b.source.values[row]) && !(b.qualification.values[row] >= 0)
}

func everyRow[V any](value V, rows int) vectors[V] {
	return vectors[V]{width: 1, values: slices.Repeat([]V{value}, rows)}
}

func valueOr[V any](value *V, otherwise V) V {
	if value == nil {
		return otherwise
	}
	return *value
}

// blank takes out the values of some rows.
func (v *vectors[V]) blank(rows func(int) bool) {
	count := len(v.values) / v.width
	if v.lengths == nil {
		v.lengths = slices.Repeat([]int32{int32(v.width)}, count)
	}
	for row := range count {
		if rows(row) {
			v.lengths[row] = absent
		}
	}
}

// blank takes out what a layout without nulls has in the place of D*'s nulls.
func (b *block) blank() {
	if b.source.width == 0 {
		return
	}
	if b.lowID.width > 0 && b.highID.width > 0 {
		unpaired := func(row int) bool {
			return b.source.values[row] == trajectory.Original || trajectory.Synthetic(b.source.values[row])
		}
		b.lowID.blank(unpaired)
		b.highID.blank(unpaired)
	}
	if b.generated.width > 0 && b.qualification.width > 0 {
		b.qualification.blank(b.unjudged)
	}
}
