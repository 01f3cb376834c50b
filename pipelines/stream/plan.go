package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/augment/method"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&planFn{})
	beam.RegisterDoFn(&layFn{})
	beam.RegisterDoFn(&finishFn{})
	register.Emitter1[int64]()
	register.Emitter1[trajectory.PairBatch]()
}

// planning is what a window is planned by, the same for all. It lies in a file of the
// folder: what the models say of themselves is too much for each DoFn's own settings.
type planning struct {
	// Work is that of all windows: its settings, models and shape.
	Work method.Work `json:"work"`
	// Attempts are made for each original episode, and Latest episodes are ranked with
	// those of a window, of whose high ones the Pool latest may be entered.
	Attempts float64 `json:"attempts"`
	Latest   int     `json:"latest"`
	Pool     int     `json:"pool"`
}

// readFiles is what came of reading a window's files.
type readFiles struct {
	Inputs   []snapshot.Input `json:"inputs"`
	Rejects  []dataset.Reject `json:"rejects"`
	Episodes int64            `json:"episodes"`
}

// planner gives a DoFn that embeds it the window that it is at.
type planner struct {
	Folder folder `json:"folder"`

	planning planning
}

// Setup loads the planning.
func (p *planner) Setup() error {
	there, err := loadJSON(p.Folder.planning(), &p.planning)
	if err == nil && !there {
		err = fmt.Errorf("stream: %q is gone: the driver ended", p.Folder.planning())
	}
	return err
}

// at is a window that is worked on.
type at struct {
	planning
	sealed
	folder folder
	dir    string // of the window
}

// at opens a window; nil where it is over.
func (p *planner) at(w beam.Window) (*at, error) {
	o := &at{planning: p.planning, folder: p.Folder, dir: datasetio.WindowFolder(p.Folder.windows(), w)}
	there, err := loadJSON(storage.Join(o.dir, windowName), &o.sealed)
	if err != nil || !there {
		return nil, err
	}
	return o, nil
}

func (o *at) path(name string) string { return storage.Join(o.dir, name) }

// planFn ranks the episodes of a window with the latest before, and plans its stitches.
type planFn struct{ planner }

// ProcessElement plans a window once all of its files are read. It emits the window's
// sequence when it is done.
func (fn *planFn) ProcessElement(ctx context.Context, w beam.Window, _ int, taken func(*datasetio.Taken) bool, scanned func(*datasetio.Scanned) bool, rejects func(*dataset.Reject) bool, emit func(trajectory.PairBatch), done func(int64)) error {
	o, err := fn.at(w)
	if err != nil || o == nil {
		return err
	}
	files := gather(taken)
	if err := o.complete("files", len(files), len(o.Files)); err != nil {
		return err
	}
	metas, err := o.read(ctx, files, gather(scanned), gather(rejects))
	if err != nil {
		return err
	}
	work, batches, err := o.plan(ctx, w, metas)
	if err != nil {
		return err
	}
	plans.Store(o.dir, laidOut{work, batches})
	for _, b := range batches {
		emit(b)
	}
	done(o.Sequence)
	return nil
}

// complete reports a window that a runner has closed before all was there that belongs into
// it: it is tried again, and no window is ever published without.
func (o *at) complete(what string, there, all int) error {
	if there == all {
		return nil
	}
	return fmt.Errorf("stream: window %d was closed with %d of its %d %s", o.Start, there, all, what)
}

func gather[T any](next func(*T) bool) (all []T) {
	var v T
	for next(&v) {
		all = append(all, v)
		v = *new(T)
	}
	return all
}

// read takes up what reading left, and gives the episodes their ids in D*.
func (o *at) read(ctx context.Context, taken []datasetio.Taken, scanned []datasetio.Scanned, rejects []dataset.Reject) ([]trajectory.Meta, error) {
	metas, err := datasetio.LoadScanned(o.dir, scanned)
	if err != nil {
		return nil, err
	}
	r := readFiles{}
	metas, r.Rejects = datasetio.RejectReturning(o.Input, metas, rejects)
	for i := range metas {
		metas[i].ID = o.Sequence*idsEach + int64(i)
	}
	for i := range r.Rejects {
		o.named(&r.Rejects[i])
	}
	slices.SortFunc(r.Rejects, func(a, b dataset.Reject) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Reason, b.Reason))
	})
	slices.SortFunc(taken, func(a, b datasetio.Taken) int { return cmp.Compare(a.Place, b.Place) })
	for _, t := range taken {
		if !t.Changed {
			modified := time.Unix(0, t.Modified).UTC()
			r.Inputs = append(r.Inputs, snapshot.Input{Path: t.Path, Bytes: t.Bytes, SHA256: t.SHA256, Modified: &modified})
		}
	}
	r.Episodes = int64(len(metas))
	return metas, errors.Join(datasetio.SaveRecords(ctx, o.path(metasName), metas), storage.WriteJSON(o.path(readName), r))
}

// named has a reject name the file that came, and not its copy.
func (o *at) named(r *dataset.Reject) {
	for _, a := range o.Files {
		if copied := o.Input.Files[a.Place]; r.File == copied {
			r.File, r.Detail = a.Path, strings.ReplaceAll(r.Detail, copied, a.Path)
		}
	}
}

// plan ranks the window's episodes with the latest before it, and plans its stitches.
func (o *at) plan(ctx context.Context, w beam.Window, own []trajectory.Meta) (*method.Work, []trajectory.PairBatch, error) {
	work := o.Work
	work.Input, work.Dir = o.Input, o.dir
	first, count := o.Sequence*idsEach+int64(len(own)), int64(o.Attempts*float64(len(own))+0.5)
	if int64(len(own))+count > idsEach {
		return nil, nil, fmt.Errorf("stream: a window of %d episodes and %d attempted stitches: no more than %d have ids", len(own), count, idsEach)
	}
	history, err := o.history()
	if err != nil {
		return nil, nil, err
	}
	all := slices.Concat(own, history)
	work.Metas = all
	if !work.Rank(all) {
		work.Metas = own
		return &work, nil, nil
	}
	work.Metas = slices.Concat(own, o.enterable(&work, history))
	work.Rank(all)
	st, err := datasetio.OpenWindow(datasetio.Input{Windows: o.folder.windows()}, w)
	if err != nil || st == nil {
		return &work, nil, err
	}
	defer st.Close() // nothing was written
	mine := func(m *trajectory.Meta) bool { return int(m.Location.File) < len(o.Files) }
	batches, err := work.PlanWindow(ctx, st, mine, first, count)
	return &work, batches, err
}

// laidOut is what came of planning a window.
type laidOut struct {
	work    *method.Work
	batches []trajectory.PairBatch
}

// plans are of the windows that this process has planned and not laid out, by their folders:
// no more than are on their way, but for those that were given up.
var plans sync.Map

// planned is what came of planning the window, of which chains are composed: as this process
// planned it, or planned again, which gives the same.
func (o *at) planned(ctx context.Context, w beam.Window, own []trajectory.Meta) (*method.Work, []trajectory.PairBatch, error) {
	if p, here := plans.LoadAndDelete(o.dir); here {
		return p.(laidOut).work, p.(laidOut).batches, nil
	}
	return o.plan(ctx, w, own)
}

// history are the latest episodes before the window, by their places in its input.
func (o *at) history() ([]trajectory.Meta, error) {
	history, err := loadPast(o.History)
	if err != nil {
		return nil, err
	}
	var metas []trajectory.Meta
	file, part := int32(len(o.Files)-1), ""
	for _, p := range history {
		if p.Part != part {
			file, part = file+1, p.Part
		}
		metas = append(metas, p.meta(file))
	}
	return metas[max(0, len(metas)-o.Latest):], nil
}

// enterable are the latest of the high episodes in a history.
func (o *at) enterable(work *method.Work, history []trajectory.Meta) (high []trajectory.Meta) {
	for _, m := range work.Pools.High {
		if int(m.Location.File) >= len(o.Files) {
			high = append(high, *m)
		}
	}
	return high[max(0, len(high)-o.Pool):]
}

// layFn lays out what a window adds to D*: its originals, and the stitches that were
// accepted.
type layFn struct{ planner }

// ProcessElement emits the numbers of the window's data files, and how many they are when it
// is done.
func (fn *layFn) ProcessElement(ctx context.Context, w beam.Window, _ int, planned func(*int64) bool, outcomes func(*trajectory.Outcome) bool, failures func(*trajectory.Failure) bool, emit func(int64), done func(int64)) error {
	o, err := fn.at(w)
	if err == nil && o != nil {
		err = o.complete("plans", len(gather(planned)), 1)
	}
	if err != nil || o == nil {
		return err
	}
	own, err := loadRecords[trajectory.Meta](o.path(metasName))
	if err != nil {
		return err
	}
	work, batches, err := o.planned(ctx, w, own)
	if err != nil {
		return err
	}
	work.Outcomes = gather(outcomes)
	slices.SortFunc(work.Outcomes, func(a, b trajectory.Outcome) int { return cmp.Compare(a.Index, b.Index) })
	letters := gather(failures)
	slices.SortFunc(letters, func(a, b trajectory.Failure) int { return cmp.Compare(a.Batch, b.Batch) })
	if err := o.complete("attempts", attempts(work.Outcomes, letters), pairs(batches)); err != nil {
		return err
	}
	parts, err := datasetio.SaveShares(ctx, o.path(layoutName), func(yield func([]trajectory.Entry) bool) {
		for part := range work.Mix.Layout(own, work.Stitches()) {
			for i := range part.Entries {
				if e := &part.Entries[i]; e.IsStitch {
					e.ID = e.Stitch.Index
				}
			}
			if !yield(part.Entries) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if err := errors.Join(storage.WriteJSON(o.path(failuresName), letters), storage.WriteJSON(o.path(outcomesName), o.funnel(work, letters))); err != nil {
		return err
	}
	for part := range parts {
		emit(part)
	}
	done(parts)
	return nil
}

// attempts counts those that came to something, or to nothing.
func attempts(outcomes []trajectory.Outcome, failures []trajectory.Failure) int {
	n := len(outcomes)
	for _, f := range failures {
		n += int(f.Pairs)
	}
	return n
}

func pairs(batches []trajectory.PairBatch) (n int) {
	for _, b := range batches {
		n += len(b.Pairs)
	}
	return n
}

// funnel is what came into the stages of a window, what went out, and why the rest did not.
func (o *at) funnel(work *method.Work, letters []trajectory.Failure) []snapshot.Stage {
	attempted := snapshot.Stage{Stage: "stitch", Unit: "stitches"}
	for _, f := range letters {
		attempted.In, attempted.Out = attempted.In+f.Pairs, attempted.Out+f.Pairs
	}
	attempted.In += int64(len(work.Outcomes))
	attempted.Out = attempted.In
	for _, f := range letters {
		attempted.Drop("failed in "+f.Stage, f.Pairs)
	}
	for _, out := range work.Outcomes {
		if out.Rejected != "" {
			attempted.Drop(out.Rejected, 1)
		}
	}
	episodes := work.Episodes()
	chain := snapshot.Stage{Stage: "chain", Unit: "bridges", In: attempted.Out, Out: attempted.Out}
	if attempted.Out > episodes {
		idle := work.Idle()
		if others := attempted.Out - episodes - idle; others > 0 {
			chain.Drop("another bridge of an episode", others)
		}
		if idle > 0 {
			chain.Drop("gains nothing without rejected ones", idle)
		}
	}
	return []snapshot.Stage{attempted, chain}
}

// finishFn says that all of a window is written.
type finishFn struct{ planner }

// ProcessElement finishes a window.
func (fn *finishFn) ProcessElement(ctx context.Context, w beam.Window, _ int, laid func(*int64) bool, parts func(*trajectory.PartInfo) bool) error {
	o, err := fn.at(w)
	count := gather(laid)
	if err == nil && o != nil {
		err = o.complete("layouts", len(count), 1)
	}
	if err != nil || o == nil {
		return err
	}
	f := finished{Sequence: o.Sequence, Parts: gather(parts)}
	if err := o.complete("data files", len(f.Parts), int(count[0])); err != nil {
		return err
	}
	slices.SortFunc(f.Parts, func(a, b trajectory.PartInfo) int { return cmp.Compare(a.Index, b.Index) })
	var r readFiles
	var stages []snapshot.Stage
	for name, into := range map[string]any{readName: &r, outcomesName: &stages} {
		there, err := loadJSON(o.path(name), into)
		if err != nil || !there {
			return errors.Join(err, fmt.Errorf("stream: window %d has no %s", o.Start, name))
		}
	}
	f.Inputs = r.Inputs
	read := snapshot.Stage{Stage: "read", Unit: "episodes", In: r.Episodes + int64(len(r.Rejects)), Out: r.Episodes + int64(len(r.Rejects))}
	for _, reject := range r.Rejects {
		read.Drop(string(reject.Reason), 1)
	}
	f.Stages = append([]snapshot.Stage{read}, stages...)
	if err := o.saveLatest(ctx, f.Parts); err != nil {
		return err
	}
	return storage.WriteJSON(o.path(finishedName), f)
}

// saveLatest leaves the window's originals, by where they lie in its data files.
func (o *at) saveLatest(ctx context.Context, parts []trajectory.PartInfo) error {
	var latest []past
	for _, part := range parts {
		entries, err := datasetio.LoadShare[trajectory.Entry](o.path(layoutName), part.Index)
		if err != nil {
			return err
		}
		row := int64(0)
		for _, e := range entries {
			if e.IsStitch {
				row += o.Work.Mix.Rows(e.Stitch)
				continue
			}
			m := e.Original
			latest = append(latest, past{m.ID, part.File, row, m.Steps, m.Return, m.Score, uint8(m.End), m.HasFinal})
			row += int64(m.Steps)
		}
	}
	return datasetio.SaveRecords(ctx, o.path(latestName), latest[max(0, len(latest)-o.Latest):])
}
