package datasetio

import (
	"context"
	"fmt"
	"slices"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func init() { beam.RegisterDoFn(&stageSyntheticFn{}) }

// blockRows is how many rows an Outcome of synthetic episodes has, at least but
// for a batch's last: few enough for a ratio to be held within about as many, and
// far fewer records than episodes.
const blockRows = 64

// StageSynthetic writes the episodes of a PCollection<trajectory.SyntheticBatch>
// that stand to a file a batch in dir. It gives a PCollection<trajectory.Outcome>,
// of which each stands for some episodes that lie one after the other, or for
// those of a batch that were rejected for a reason. A retry writes the same file
// again. What cannot be staged goes to a PCollection<trajectory.Failure>.
func StageSynthetic(s beam.Scope, dir string, shape Shape, batches beam.PCollection) (outcomes, dead beam.PCollection) {
	s = s.Scope("datasetio.StageSynthetic")
	return beam.ParDo2(s, &stageSyntheticFn{Dir: dir, Shape: shape}, batches)
}

type stageSyntheticFn struct {
	Dir   string `json:"dir"`
	Shape Shape  `json:"shape"`
}

func (fn *stageSyntheticFn) ProcessElement(ctx context.Context, batch trajectory.SyntheticBatch, emit func(trajectory.Outcome), dead func(trajectory.Failure)) error {
	work := func() ([]trajectory.Outcome, error) { return fn.stage(batch) }
	return attempt.Batch(ctx, "stage", batch.Plan.Span(), work, each(emit), dead)
}

func (fn *stageSyntheticFn) stage(batch trajectory.SyntheticBatch) ([]trajectory.Outcome, error) {
	stand := slices.DeleteFunc(slices.Clone(batch.Episodes), func(e trajectory.SyntheticEpisode) bool { return e.Rejected != "" })
	outcomes := append(blocks(int32(batch.Plan.Index), stand), rejections(batch.Episodes)...)
	if len(stand) == 0 {
		return outcomes, nil
	}
	return outcomes, writeStaged(stagedFile(fn.Dir, int32(batch.Plan.Index)), fn.Shape, func(yield func(*trajectory.Episode) bool) {
		for _, e := range stand {
			if !yield(e.Episode(batch.Source)) {
				return
			}
		}
	})
}

// blocks cuts the episodes of a staged file, which lie in it from its first row on.
func blocks(file int32, episodes []trajectory.SyntheticEpisode) (outcomes []trajectory.Outcome) {
	row := int64(0)
	for _, e := range episodes {
		if n := len(outcomes); n == 0 || outcomes[n-1].Staged.Rows >= blockRows {
			outcomes = append(outcomes, trajectory.Outcome{
				Pair: trajectory.Pair{Index: e.Index}, Staged: trajectory.Location{File: file, Row: row},
			})
		}
		o := &outcomes[len(outcomes)-1]
		o.Episodes++
		o.Staged.Rows += int64(len(e.Rewards))
		row += int64(len(e.Rewards))
		for i, r := range e.Rewards {
			o.BridgeReturn += float64(r)
			if e.Errors != nil {
				o.MaxError = max(o.MaxError, e.Errors[i])
			}
		}
	}
	return outcomes
}

// rejections are an outcome a reason, of the first episode that has it.
func rejections(episodes []trajectory.SyntheticEpisode) (outcomes []trajectory.Outcome) {
	for _, e := range episodes {
		if e.Rejected == "" {
			continue
		}
		i := slices.IndexFunc(outcomes, func(o trajectory.Outcome) bool { return o.Rejected == e.Rejected })
		if i < 0 {
			i = len(outcomes)
			outcomes = append(outcomes, trajectory.Outcome{Pair: trajectory.Pair{Index: e.Index}, Rejected: e.Rejected})
		}
		outcomes[i].Episodes++
	}
	return outcomes
}

// decodedFile is a staged file of synthetic episodes, with where each lies.
type decodedFile struct {
	file     int32
	episodes []*trajectory.Episode
	rows     []int64
}

// Block reads the synthetic episodes at a location, whose ids are their indices in
// the plan. The latest file is kept decoded.
func (s *Staged) Block(ctx context.Context, at trajectory.Location) ([]*trajectory.Episode, error) {
	if s.decoded == nil || s.decoded.file != at.File {
		decoded, err := s.decode(ctx, at.File)
		if err != nil {
			return nil, err
		}
		s.decoded = decoded
	}
	first, _ := slices.BinarySearch(s.decoded.rows, at.Row)
	end, _ := slices.BinarySearch(s.decoded.rows, at.Row+at.Rows)
	return s.decoded.episodes[first:end], nil
}

func (s *Staged) decode(ctx context.Context, file int32) (*decodedFile, error) {
	f, err := s.open(file)
	if err != nil {
		return nil, err
	}
	d := &decodedFile{file: file}
	for item, err := range f.Episodes(ctx) {
		if err == nil && item.Reject != nil {
			err = fmt.Errorf("datasetio: a staged episode cannot be read: %v", item.Reject)
		}
		if err != nil {
			return nil, err
		}
		d.episodes = append(d.episodes, withFinal(item.Episode))
		d.rows = append(d.rows, item.Location.Row)
	}
	return d, nil
}
