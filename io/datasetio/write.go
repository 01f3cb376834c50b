package datasetio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math"
	"strconv"

	"diffstitch/io/attempt"
	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

var rowsWritten = beam.NewCounter("datasetio", "rows_written")

func init() {
	beam.RegisterDoFn(&writeFn{})
}

// DefaultPartRows is how many rows a data file has, at least, where nothing is said.
const DefaultPartRows = 1 << 20

// Output says where and how D* is written.
type Output struct {
	Dir     string `json:"dir"`     // of the data files
	Bridges string `json:"bridges"` // folder of the staged bridges
	// Layout is the prefix of the shares that list the episodes of each data file.
	Layout string `json:"layout"`
	Shape  Shape  `json:"shape"`
	// OriginalIDs is whether there is a column for ids that are text in the data.
	OriginalIDs bool `json:"original_ids,omitempty"`
	// BridgesOnly leaves the two episodes around a bridge out.
	BridgesOnly bool `json:"bridges_only,omitempty"`
}

// Write writes so many data files, fetching the episodes by the locations that the
// layout lists, a share a file of trajectory.Entry, and gives a PCollection<trajectory.PartInfo>. A retry writes the
// same file again.
func Write(s beam.Scope, in Input, out Output, parts int64) beam.PCollection {
	s = s.Scope("datasetio.Write")
	return WriteParts(s, in, out, numbers(s, parts))
}

// WriteParts writes the data files of the numbers in a PCollection<int64>, as Write does.
// Those of a window of a stream lie in its folder, as the layout and the bridges do.
func WriteParts(s beam.Scope, in Input, out Output, parts beam.PCollection) beam.PCollection {
	s = s.Scope("datasetio.WriteParts")
	return beam.ParDo(s, &writeFn{fetcher{Input: in}, out}, parts)
}

type writeFn struct {
	fetcher
	Output Output `json:"output"`
}

func (fn *writeFn) ProcessElement(ctx context.Context, w beam.Window, part int64, emit func(trajectory.PartInfo)) error {
	return fn.in(w, func() error {
		info, err := attempt.Do(ctx, "part", strconv.FormatInt(part, 10), func() (trajectory.PartInfo, error) { return fn.write(ctx, w, part) })
		if err != nil {
			return err
		}
		emit(info)
		return nil
	})
}

func (fn *writeFn) write(ctx context.Context, at beam.Window, part int64) (trajectory.PartInfo, error) {
	info := trajectory.PartInfo{Index: part, File: fmt.Sprintf("part-%05d.parquet", part)}
	entries, err := LoadRecords[trajectory.Entry](sharePath(inWindow(fn.Output.Layout, at), part))
	if err != nil {
		return info, err
	}
	staged := OpenStaged(WindowFolder(fn.Output.Bridges, at))
	defer staged.Close()
	err = storage.WriteWhole(storage.Join(WindowFolder(fn.Output.Dir, at), info.File), func(w io.Writer) error {
		sum := summer{hash: sha256.New(), out: w}
		out, err := dataset.NewWriter(&sum, dataset.WriterConfig{
			ObservationDim: fn.Output.Shape.ObservationDim, ActionDim: fn.Output.Shape.ActionDim,
			OriginalIDs:  fn.Output.OriginalIDs,
			RowGroupRows: math.MaxInt, // the layout says where they end
		})
		if err != nil {
			return err
		}
		if err := fn.writeEntries(ctx, out, entries, staged, &info); err != nil {
			return err
		}
		err = out.Close()
		info.Bytes, info.SHA256 = sum.bytes, hex.EncodeToString(sum.hash.Sum(nil))
		return err
	})
	return info, err
}

// summer hashes what it passes on.
type summer struct {
	out   io.Writer
	hash  hash.Hash
	bytes int64
}

func (s *summer) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	_, _ = s.hash.Write(p[:n]) // it never fails
	s.bytes += int64(n)
	return n, err
}

func (fn *writeFn) writeEntries(ctx context.Context, out *dataset.Writer, entries []trajectory.Entry, staged *Staged, info *trajectory.PartInfo) error {
	for i, entry := range entries {
		if i > 0 && entry.Group != entries[i-1].Group {
			if err := out.EndRowGroup(); err != nil {
				return err
			}
		}
		episodes, err := fn.episodes(ctx, entry, staged)
		if err != nil {
			return fmt.Errorf("episode %d of D*: %w", entry.ID, err)
		}
		for _, e := range episodes {
			if err := out.Write(e); err != nil {
				return err
			}
			rowsWritten.Inc(ctx, int64(e.Len()))
			count(info, e, entry)
		}
	}
	return nil
}

// count adds an episode, of D_aug or not, to what came of a part.
func count(info *trajectory.PartInfo, e *trajectory.Episode, entry trajectory.Entry) {
	info.Episodes++
	info.Rows += int64(e.Len())
	if entry.Repeat > 0 {
		info.Repeated++
		info.RepeatedRows += int64(e.Len())
	}
	if entry.IsStitch {
		info.Stitched++
		info.StitchedRows += int64(e.Len())
		info.BridgeRows += int64(e.Provenance.GeneratedRows(e.Len()))
	}
	if _, known := e.NextObservation(e.Len() - 1); !known {
		info.UnknownFinals++
	}
}

// episodes fetches an original episode, joins a stitched one, or reads synthetic
// ones.
func (fn *writeFn) episodes(ctx context.Context, entry trajectory.Entry, staged *Staged) ([]*trajectory.Episode, error) {
	switch {
	case !entry.IsStitch:
		e, err := fn.store.ReadOnce(entry.Original)
		return []*trajectory.Episode{e}, err
	case entry.Stitch.Episodes == 0:
		e, err := fn.stitched(entry, staged)
		return []*trajectory.Episode{e}, err
	}
	block, err := staged.Block(ctx, entry.Stitch.Staged)
	if err != nil {
		return nil, err
	}
	if n := int64(len(block)); n != int64(entry.Stitch.Episodes) {
		return nil, fmt.Errorf("datasetio: %d episodes lie staged where %d should", n, entry.Stitch.Episodes)
	}
	episodes := make([]*trajectory.Episode, len(block))
	for i, e := range block {
		renumbered := *e
		renumbered.ID += entry.ID - entry.Stitch.Index
		episodes[i] = &renumbered
	}
	return episodes, nil
}

// stitched joins a stitched episode.
func (fn *writeFn) stitched(entry trajectory.Entry, staged *Staged) (*trajectory.Episode, error) {
	o := entry.Stitch
	bridges, err := staged.Bridges(o)
	if err != nil {
		return nil, err
	}
	if fn.Output.BridgesOnly {
		bridges[0].ID = entry.ID
		return bridges[0], nil
	}
	stretches, err := fn.store.Stretches(o)
	if err != nil {
		return nil, err
	}
	return trajectory.Join(entry.ID, stretches, bridges)
}
