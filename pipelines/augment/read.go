package augment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// The files in which one pipeline leaves its records to the next, and the prefix of
// those of D*'s layout.
const (
	scannedFile  = "scanned.parquet"
	rejectsFile  = "rejects.parquet"
	inputsFile   = "inputs.parquet"
	outcomesFile = "outcomes-%04d.parquet"
	partsFile    = "parts.parquet"
	layoutShares = "layout"
)

// read scans the input for what ranking needs, and ranks it.
func (r *run) read(ctx context.Context) error {
	in := r.dataset.Input
	err := r.execute(ctx, "reading", readingTasks, func(s beam.Scope, job *observe.Job) {
		scanned, rejects := datasetio.Scan(s, in, r.dataset.Shape, r.options.Scoring, r.work.Dir)
		datasetio.WriteRecords[datasetio.Scanned](s, r.path(scannedFile), job.Live(s, scanned))
		datasetio.WriteRecords[dataset.Reject](s, r.path(rejectsFile), rejects)
		datasetio.WriteRecords[datasetio.FileInfo](s, r.path(inputsFile), datasetio.Hashes(s, in))
	})
	if err != nil {
		return err
	}
	if err := r.loadScanned(); err != nil {
		return err
	}
	if err := r.dataset.Check(r.work.Metas, r.rejects); err != nil {
		return err
	}
	number(r.work.Metas, r.dataset.TextIDs)
	if err := r.method.Prepare(&r.work); err != nil {
		return fmt.Errorf("%w: %w", failure.ErrData, err)
	}
	return nil
}

// loadScanned takes up what reading left.
func (r *run) loadScanned() error {
	scanned, err := load(r.path(scannedFile), func(a, b datasetio.Scanned) int { return 0 })
	if err != nil {
		return err
	}
	metas, err := datasetio.LoadScanned(r.work.Dir, scanned)
	if err != nil {
		return err
	}
	rejects, err := load(r.path(rejectsFile), byPlace)
	if err != nil {
		return err
	}
	r.work.Metas, r.rejects = datasetio.RejectReturning(r.dataset.Input, metas, rejects)
	r.noteEdges()
	slices.SortFunc(r.rejects, byPlace)
	byIndex := func(a, b datasetio.FileInfo) int { return cmp.Compare(a.Index, b.Index) }
	r.files, err = load(r.path(inputsFile), byIndex)
	return err
}

// noteEdges says where episodes may be cut by the ends of files.
func (r *run) noteEdges() {
	if !r.dataset.Stepless {
		return
	}
	var edges dataset.Edges
	for _, m := range r.work.Metas {
		edges.Add(int(m.Location.File), m.ID)
	}
	if note := edges.Note(); note != "" {
		r.dataset.Notes = append(r.dataset.Notes, note)
		observe.Say(r.progress, note)
	}
}

// load reads records in an order that does not depend on the run; no file means
// no records.
func load[T any](path string, order func(a, b T) int) ([]T, error) {
	records, err := datasetio.LoadRecords[T](path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	slices.SortFunc(records, order)
	return records, err
}

func byPlace(a, b dataset.Reject) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Reason, b.Reason))
}

// number gives the episodes new ids, in the data's order, if files share ids, or if
// those that they have stand for text.
func number(metas []trajectory.Meta, always bool) {
	ids := make([]int64, len(metas))
	for i, m := range metas {
		ids[i] = m.ID
	}
	slices.Sort(ids)
	if !always && len(slices.Compact(ids)) == len(metas) {
		return
	}
	for i := range metas {
		metas[i].ID = int64(i)
	}
}
