// Package datasetio is the Beam side of Parquet datasets: it scans episodes for
// what ranking needs, fetches the states that each batch of stitches needs by
// their location, and writes D*. Only ids and locations are shuffled; arrays
// are read and written in the stage that uses them.
package datasetio

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"diffstitch/io/attempt"
	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&splitFn{})
	beam.RegisterDoFn(&scanFn{})
	beam.RegisterDoFn(&hashFn{})
	register.Emitter1[Split]()
	register.Emitter1[Scanned]()
	register.Emitter1[dataset.Reject]()
}

// Why a whole file is rejected, or the rest of a split.
const (
	ReasonUnreadable     dataset.Reason = "unreadable file"
	ReasonUnreadableRows dataset.Reason = "unreadable rows"
)

// Split is a part of the input that is read on its own: the episodes that begin
// in some row groups of a file.
type Split struct {
	File   int32
	Groups dataset.Groups
}

// Scanned is a split whose episodes' metadata lies in a file.
type Scanned struct {
	Split
	Episodes int64
}

// file is where the metadata lies, in a folder.
func (s Scanned) file(dir string) string {
	return storage.Join(dir, fmt.Sprintf("episodes-%05d-%06d.parquet", s.File, s.Groups.From))
}

// splitBytes is about what a split's row groups take decoded: enough that
// opening the file for it does not count.
const splitBytes = 64 << 20

var (
	episodesRead = beam.NewCounter("datasetio", "episodes_read")
	rejected     = beam.NewCounter("datasetio", "inputs_rejected")
)

// Scan reads every episode of the input once and keeps what ranking needs in dir, a
// file of trajectory.Meta a split. It gives a PCollection<Scanned> for LoadScanned,
// and a PCollection<dataset.Reject> of the files and episodes that cannot be used.
func Scan(s beam.Scope, in Input, shape Shape, scoring trajectory.Scoring, dir string) (scanned, rejects beam.PCollection) {
	s = s.Scope("datasetio.Scan")
	return scan(s, in, shape, scoring, dir, splitBytes)
}

func scan(s beam.Scope, in Input, shape Shape, scoring trajectory.Scoring, dir string, bytes int64) (scanned, rejects beam.PCollection) {
	splits, broken := beam.ParDo2(s, &splitFn{Input: in, Shape: shape, Bytes: bytes}, fileIndices(s, in))
	scanned, rejects = beam.ParDo2(s, &scanFn{Input: in, Scoring: scoring, Dir: dir}, beam.Reshuffle(s, splits))
	return scanned, beam.Flatten(s, broken, rejects)
}

// LoadScanned gives the metadata of what was scanned, in the data's order. Splits of
// a file know nothing of each other: it is followed by RejectReturning.
func LoadScanned(dir string, scanned []Scanned) ([]trajectory.Meta, error) {
	slices.SortFunc(scanned, func(a, b Scanned) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Groups.From, b.Groups.From))
	})
	episodes := int64(0)
	for _, s := range scanned {
		episodes += s.Episodes
	}
	metas := make([]trajectory.Meta, 0, episodes)
	for _, s := range scanned {
		some, err := LoadRecords[trajectory.Meta](s.file(dir))
		if err != nil {
			return nil, err
		}
		metas = append(metas, some...)
	}
	return metas, nil
}

func fileIndices(s beam.Scope, in Input) beam.PCollection {
	indices := make([]int32, len(in.Files))
	for i := range indices {
		indices[i] = int32(i)
	}
	return beam.Reshuffle(s, beam.CreateList(s, indices))
}

type splitFn struct {
	Input Input `json:"input"`
	Shape Shape `json:"shape"`
	Bytes int64 `json:"bytes"` // of a split
}

func (fn *splitFn) ProcessElement(ctx context.Context, file int32, emit func(Split), reject func(dataset.Reject)) error {
	return fn.split(ctx, fn.Input, file, emit, reject)
}

func (fn *splitFn) split(ctx context.Context, in Input, file int32, emit func(Split), reject func(dataset.Reject)) error {
	splits, err := in.splits(file, fn.Shape, fn.Bytes)
	if OfTheStorage(err) {
		return err
	}
	if err != nil {
		rejected.Inc(ctx, 1)
		reject(in.unreadable(file, err))
	}
	for _, split := range splits {
		emit(split)
	}
	return nil
}

// splits cuts a file, unless it is broken or of another shape.
func (in Input) splits(file int32, shape Shape, bytes int64) ([]Split, error) {
	f, err := dataset.Open(in.Files[file], in.Options)
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	if f.Schema().Rows == 0 {
		return nil, nil
	}
	if err := f.CheckOrder(); err != nil {
		return nil, err
	}
	if got := (Shape{f.Schema().ObservationDim, f.Schema().ActionDim}); got != shape {
		return nil, fmt.Errorf("observations of %d values and actions of %d, where the rest of the data has %d and %d",
			got.ObservationDim, got.ActionDim, shape.ObservationDim, shape.ActionDim)
	}
	var splits []Split
	for _, groups := range f.Splits(bytes) {
		splits = append(splits, Split{file, groups})
	}
	return splits, nil
}

// OfTheStorage is whether an error says that the storage is in trouble, for which
// nothing is left out of D*, rather than that a file cannot be used.
func OfTheStorage(err error) bool {
	return attempt.OfTheWorker(err) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission)
}

func (in Input) unreadable(file int32, err error) dataset.Reject {
	return dataset.Reject{File: in.Files[file], Reason: ReasonUnreadable, Detail: err.Error()}
}

type scanFn struct {
	Input   Input              `json:"input"`
	Scoring trajectory.Scoring `json:"scoring"`
	Dir     string             `json:"dir"`
}

func (fn *scanFn) ProcessElement(ctx context.Context, w beam.Window, split Split, emit func(Scanned), reject func(dataset.Reject)) error {
	in, goesOn, err := fn.Input.In(w)
	if !goesOn {
		return err
	}
	var metas []trajectory.Meta
	err = in.scan(ctx, split,
		func(e *trajectory.Episode, m trajectory.Meta) {
			episodesRead.Inc(ctx, 1)
			m.Score = fn.Scoring.Of(e)
			metas = append(metas, m)
		},
		func(r dataset.Reject) {
			rejected.Inc(ctx, 1)
			reject(r)
		})
	if err != nil || len(metas) == 0 {
		return err
	}
	scanned := Scanned{split, int64(len(metas))}
	if err := SaveRecords(ctx, scanned.file(WindowFolder(fn.Dir, w)), metas); err != nil {
		return err
	}
	emit(scanned)
	return nil
}

// scan hands out the usable episodes of a split in order, and rejects the
// others. Where rows cannot be read, it rejects the split from there on.
func (in Input) scan(ctx context.Context, split Split, use func(*trajectory.Episode, trajectory.Meta), reject func(dataset.Reject)) error {
	f, err := in.open(split.File)
	if OfTheStorage(err) {
		return err
	}
	if err != nil {
		reject(in.unreadable(split.File, err))
		return nil
	}
	defer f.Close() // nothing was written
	row := f.FirstRow(split.Groups.From)
	for item, err := range f.EpisodesIn(ctx, split.Groups) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case OfTheStorage(err):
			return err
		case err != nil:
			reject(dataset.Reject{File: f.Path(), Row: row, Reason: ReasonUnreadableRows, Detail: err.Error()})
			return nil
		case item.Reject != nil:
			reject(*item.Reject)
		default:
			use(item.Episode, meta(item, split.File))
		}
		row = item.Location.Row + item.Location.Rows
	}
	return nil
}

// ScanFile hands out what Scan finds in one file, in order.
func ScanFile(ctx context.Context, in Input, file int32, shape Shape, use func(*trajectory.Episode, trajectory.Meta), reject func(dataset.Reject)) error {
	splits, err := in.splits(file, shape, splitBytes)
	if OfTheStorage(err) {
		return err
	}
	if err != nil {
		reject(in.unreadable(file, err))
		return nil
	}
	seen := dataset.Seen{}
	for _, split := range splits {
		err := in.scan(ctx, split, func(e *trajectory.Episode, m trajectory.Meta) {
			if r := seen.Add(in.Files[file], m.Location.Row, m.ID); r != nil {
				reject(*r)
				return
			}
			use(e, m)
		}, reject)
		if err != nil {
			return err
		}
	}
	return nil
}

// RejectReturning moves the episodes whose id came before in the same file from
// metas, which are in the data's order, to the rejects.
func RejectReturning(in Input, metas []trajectory.Meta, rejects []dataset.Reject) ([]trajectory.Meta, []dataset.Reject) {
	seen, file := dataset.Seen{}, int32(-1)
	metas = slices.DeleteFunc(metas, func(m trajectory.Meta) bool {
		if m.Location.File != file {
			clear(seen)
			file = m.Location.File
		}
		r := seen.Add(in.Files[file], m.Location.Row, m.ID)
		if r != nil {
			rejects = append(rejects, *r)
		}
		return r != nil
	})
	return metas, rejects
}

func meta(item dataset.Item, file int32) trajectory.Meta {
	e := item.Episode
	_, hasFinal := e.NextObservation(e.Len() - 1)
	place := item.Location
	place.File = file
	return trajectory.Meta{
		ID:       e.ID,
		Location: place,
		Steps:    int32(e.Len()),
		Return:   e.Return(),
		End:      e.End,
		HasFinal: hasFinal,
	}
}

// FileInfo identifies an input file.
type FileInfo struct {
	Index  int32
	Path   string
	Bytes  int64
	SHA256 string
}

// Hashes gives a PCollection<FileInfo> of the input's files.
func Hashes(s beam.Scope, in Input) beam.PCollection {
	s = s.Scope("datasetio.Hashes")
	return beam.ParDo(s, &hashFn{Input: in}, fileIndices(s, in))
}

// hashChunk is how much of a file is read at once, in bytes.
const hashChunk = 1 << 20

type hashFn struct {
	Input Input `json:"input"`
}

func (fn *hashFn) ProcessElement(file int32) (FileInfo, error) {
	info := FileInfo{Index: file, Path: fn.Input.Files[file]}
	f, err := storage.Open(info.Path)
	if err != nil {
		return info, fmt.Errorf("datasetio: %w", err)
	}
	defer f.Close() // nothing was written
	hash := sha256.New()
	if info.Bytes, err = io.CopyBuffer(hash, f.Reader(), make([]byte, hashChunk)); err != nil {
		return info, fmt.Errorf("datasetio: reading %q: %w", info.Path, err)
	}
	info.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return info, nil
}
