package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"time"

	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/input"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&sourceFn{})
	beam.RegisterType(reflect.TypeFor[position]())
	register.Emitter2[beam.EventTime, datasetio.Arrival]()
}

const (
	// inFlight is how many windows may be on their way: more files wait where they are until
	// one is published. A window's stitches enter what was published before its predecessor,
	// so that what they are does not depend on how fast windows go through.
	inFlight = 2
	// stay is how long the source keeps watch before it hands over to the runner, which
	// may then checkpoint it. Flink's runner never forgets what it has for each time.
	stay = 5 * time.Second
	// stayBusy is the same while windows are on their way, and each time the watermark moves
	// by the least there is: Flink's runner passes one on when the next one comes, at each
	// stage that was at work.
	stayBusy = 300 * time.Millisecond
)

// source says where files come from.
type source struct {
	Folder folder        `json:"folder"`
	Lease  engine.Lease  `json:"lease"`
	Out    string        `json:"out"`
	Data   input.Data    `json:"data"`
	Window time.Duration `json:"window"`
	Poll   time.Duration `json:"poll"`
	// First is the sequence of the first window.
	First   int64 `json:"first"`
	CacheMB int   `json:"cache_mb"`
}

// position is how far the source has come: the restriction of a splittable DoFn.
type position struct {
	Next int64 // the sequence of the window that is handed out next
	Done bool
}

// tracker lets the source stop between two windows, and divides it nowhere: windows come
// in order.
type tracker struct {
	at   position
	done bool
}

// end is claimed by a source that has come to its end.
const end = int64(-1)

// TryClaim claims the window of a sequence.
func (t *tracker) TryClaim(sequence any) bool {
	if t.done {
		return false
	}
	t.at.Next = sequence.(int64) + 1
	t.done = sequence == end
	return true
}

// TrySplit leaves all the rest to whoever goes on.
func (t *tracker) TrySplit(fraction float64) (primary, residual any, err error) {
	if fraction > 0 || t.done {
		return t.at, nil, nil
	}
	rest := t.at
	t.at.Done, t.done = true, true
	return t.at, rest, nil
}

func (t *tracker) GetError() error                 { return nil }
func (t *tracker) GetProgress() (float64, float64) { return float64(t.at.Next), 1 }
func (t *tracker) IsDone() bool                    { return t.done }
func (t *tracker) GetRestriction() any             { return t.at }

// sourceFn hands out the files of window after window, with the times of their last
// changes as event times, and the end of the window as the watermark. What is in a window
// is written down before it is handed out: a runner that goes back to a checkpoint, or
// begins anew, gets the same windows.
type sourceFn struct {
	Source source `json:"source"`

	watcher *watcher
	read    int64     // the sequence up to which the watcher knows what is published, -1 at first
	looked  time.Time // when it last looked
}

// Setup begins to watch.
func (fn *sourceFn) Setup() {
	fn.watcher, fn.read = newWatcher(fn.Source.Data.Options), -1
}

// CreateInitialRestriction begins with the first window.
func (fn *sourceFn) CreateInitialRestriction([]byte) position { return position{Next: fn.Source.First} }

// SplitRestriction leaves it whole.
func (fn *sourceFn) SplitRestriction(_ []byte, at position) []position { return []position{at} }

// RestrictionSize is not known.
func (fn *sourceFn) RestrictionSize([]byte, position) float64 { return 1 }

// CreateTracker tracks the windows that are handed out.
func (fn *sourceFn) CreateTracker(at position) *sdf.LockRTracker {
	return sdf.NewLockRTracker(&tracker{at: at, done: at.Done})
}

// TruncateRestriction ends the source where the runner drains it.
func (fn *sourceFn) TruncateRestriction(*sdf.LockRTracker, []byte) position {
	return position{Done: true}
}

// InitialWatermarkEstimatorState is before all files.
func (fn *sourceFn) InitialWatermarkEstimatorState(beam.EventTime, position, []byte) int64 {
	return mtime.MinTimestamp.Milliseconds()
}

// CreateWatermarkEstimator goes on from a time, in ms since 1970.
func (fn *sourceFn) CreateWatermarkEstimator(ms int64) *sdf.ManualWatermarkEstimator {
	return &sdf.ManualWatermarkEstimator{State: mtime.FromMilliseconds(ms).ToTime()}
}

// WatermarkEstimatorState is where to go on from.
func (fn *sourceFn) WatermarkEstimatorState(e *sdf.ManualWatermarkEstimator) int64 {
	return e.State.UnixMilli()
}

// ProcessElement hands out a window, or keeps watch for a while.
func (fn *sourceFn) ProcessElement(ctx context.Context, estimator *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, _ []byte, emit func(beam.EventTime, datasetio.Arrival)) (sdf.ProcessContinuation, error) {
	at := rt.GetRestriction().(position)
	for began := time.Now(); ; {
		if wanted, err := exists(string(fn.Source.Lease)); err != nil || !wanted {
			return sdf.StopProcessing(), errors.Join(err, fmt.Errorf("stream: given up: the driver ended, or another stream writes into %q", fn.Source.Out))
		}
		v, err := fn.view(at)
		if err != nil {
			return sdf.StopProcessing(), err
		}
		if v.over && !v.busy { // before, the last watermark may not be through
			rt.TryClaim(end)
			return sdf.StopProcessing(), nil
		}
		if v.next != nil {
			if !rt.TryClaim(v.next.Sequence) {
				return sdf.StopProcessing(), nil
			}
			for _, a := range v.next.Files {
				// Late files are of the window that takes them.
				emit(mtime.FromMilliseconds(min(max(a.Modified/1e6, v.next.Start), v.next.End-1)), a)
			}
			estimator.UpdateWatermark(mtime.FromMilliseconds(v.next.End).ToTime())
			return sdf.ResumeProcessingIn(0), nil
		}
		if lasted := time.Since(began); lasted > stay || v.busy && lasted > stayBusy {
			fn.nudge(estimator, v)
			return sdf.ResumeProcessingIn(0), nil
		}
		select {
		case <-ctx.Done():
			return sdf.StopProcessing(), ctx.Err()
		case <-time.After(fn.Source.Poll):
		}
	}
}

// nudge moves the watermark by a millisecond, but not to the end of a window that is still to
// come.
func (fn *sourceFn) nudge(estimator *sdf.ManualWatermarkEstimator, v view) {
	next := estimator.CurrentWatermark().Add(time.Millisecond)
	if v.busy && (v.over || next.UnixMilli() < v.end+fn.Source.Window.Milliseconds()) {
		estimator.UpdateWatermark(next)
	}
}

// view is what the source sees.
type view struct {
	next *sealed // the next window; nil where there is none yet
	busy bool    // whether windows are on their way
	over bool    // whether there will be no more
	end  int64   // of the last window that is on its way or published, ms since 1970
}

// view looks for the next window: one that was sealed before, or one that can be sealed now.
func (fn *sourceFn) view(at position) (v view, err error) {
	flying, err := fn.Source.Folder.inFlight() // before CURRENT, by which those are known that are gone
	if err != nil {
		return v, err
	}
	var past committed
	if _, err := loadJSON(fn.Source.Folder.committed(), &past); err != nil {
		return v, err
	}
	last, taken := past, map[string]bool{}
	for _, s := range flying {
		if s.Sequence <= past.Sequence {
			continue
		}
		if s.Sequence >= at.Next {
			return view{next: &s}, nil
		}
		last.Sequence, last.End = s.Sequence, s.End
		for _, a := range s.Files {
			taken[a.Path] = true
		}
	}
	v.busy, v.end = last.Sequence > past.Sequence, last.End
	stop, err := exists(fn.Source.Folder.stop())
	if err != nil || last.Sequence-past.Sequence >= inFlight {
		return v, err
	}
	l, settled, err := fn.look(past, taken)
	if err != nil || !settled {
		return v, err
	}
	frontier := fn.looked.Add(-2 * fn.Source.Poll).UnixMilli()
	if stop { // nothing is waited for
		frontier = time.Unix(1<<40, 0).UnixMilli()
	}
	if start, files := cut(l.ready, last.End, frontier, fn.Source.Window.Milliseconds()); len(files) > 0 {
		s, err := fn.seal(last.Sequence+1, start, files)
		v.next = &s
		return v, err
	}
	if stop {
		v.over, err = true, fn.drain(last.Sequence, l)
	}
	return v, err
}

// drain leaves behind what the last window is, and what was not taken.
func (fn *sourceFn) drain(last int64, l looked) error {
	d := drained{Sequence: last}
	for _, w := range l.waiting {
		d.Waiting = append(d.Waiting, w.path)
	}
	return storage.WriteJSON(fn.Source.Folder.drained(), d)
}

// look looks at the files, at most once each poll. It says false where the looks so far
// cannot tell yet what can be taken.
func (fn *sourceFn) look(past committed, busy map[string]bool) (l looked, settled bool, err error) {
	if wait := time.Until(fn.looked.Add(fn.Source.Poll)); wait > 0 { // runners call sooner than they are asked to
		time.Sleep(wait)
	}
	if fn.read != past.Sequence {
		if err := fn.learn(past); err != nil {
			return l, false, err
		}
	}
	now, first := time.Now(), fn.looked.IsZero()
	found, err := list(fn.Source.Data.Path)
	if err != nil {
		return l, false, fmt.Errorf("stream: listing %q: %w", fn.Source.Data.Path, err)
	}
	if l, err = fn.watcher.look(now, found, busy); err != nil {
		return l, false, err
	}
	fn.looked = now
	return l, !first, errors.Join(fn.tell(rewritten, l.rewritten), fn.tell(waiting, l.waiting))
}

// learn has the watcher know what is published.
func (fn *sourceFn) learn(past committed) error {
	known := map[string]snapshot.Input{}
	current, err := snapshot.Current(fn.Source.Out)
	if err != nil && !errors.Is(err, snapshot.ErrNoSnapshot) {
		return err
	}
	for _, in := range current.Manifest.Inputs {
		known[in.Path] = in
	}
	fn.watcher.known, fn.watcher.since, fn.read = known, current.Manifest.Created, past.Sequence
	return nil
}

// seal writes down what is in a window.
func (fn *sourceFn) seal(sequence, start int64, files []ready) (sealed, error) {
	f := fn.Source.Folder
	s := sealed{Sequence: sequence, Start: start, End: start + fn.Source.Window.Milliseconds(), History: f.history(sequence - inFlight)}
	s.Input.Options, s.Input.CacheMB = fn.Source.Data.Options, fn.Source.CacheMB
	for i, r := range files {
		if r.at < start {
			s.Late++
		}
		s.Files = append(s.Files, datasetio.Arrival{Place: int32(i), Path: r.path, Bytes: r.bytes, Modified: r.modified})
		s.Input.Files = append(s.Input.Files, storage.Join(f.window(start), copiesName, fmt.Sprintf("%05d%s", i, filepath.Ext(r.path))))
	}
	history, err := loadPast(s.History)
	if err != nil {
		return s, err
	}
	s.Input.Files = append(s.Input.Files, partsOf(history)...)
	return f.seal(s)
}

// partsOf are the files in which a history's episodes lie, in order.
func partsOf(history []past) (parts []string) {
	for _, p := range history {
		if len(parts) == 0 || parts[len(parts)-1] != p.Part {
			parts = append(parts, p.Part)
		}
	}
	return parts
}

// What a source tells of files.
const (
	rewritten = "rewritten"
	waiting   = "waiting"
)

// notice is what a source tells of a file.
type notice struct {
	Kind     string    `json:"kind"`
	Path     string    `json:"path"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified"`
}

// tell leaves a notice of each file, once for each of its versions.
func (fn *sourceFn) tell(kind string, files []listed) error {
	for _, f := range files {
		if kind == waiting && fn.looked.Sub(time.Unix(0, f.modified)) < max(fn.Source.Window, time.Minute) {
			continue // it may be whole soon
		}
		name := sha256.Sum256(fmt.Appendf(nil, "%s %q %d %d", kind, f.path, f.bytes, f.modified))
		path := storage.Join(fn.Source.Folder.notices(), hex.EncodeToString(name[:16])+".json")
		there, err := exists(path)
		if err == nil && !there {
			err = storage.WriteJSON(path, notice{kind, f.path, f.bytes, time.Unix(0, f.modified).UTC()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
