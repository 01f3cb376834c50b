// Package stream grows D* while data arrives: an unbounded pipeline takes new files as
// they appear, window by window, and each window's originals and stitches are published as
// a micro-snapshot, which has all that the one before had.
//
// The pipeline makes, the driver publishes. What a window holds is written down before
// anything is made of it, and all that is made of it lies in a folder of its own under
// names that follow from that, so that a runner may do any of it again; the driver takes
// the windows that are finished in order, compares their files with those that CURRENT was
// made from, and moves CURRENT on if it is as the driver left it. What CURRENT's manifest
// names is published, all else is not: that is all there is to begin again from.
package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// Summary is what a stream came to.
type Summary struct {
	Snapshot  string           `json:"snapshot"` // the current one
	Windows   int              `json:"windows"`  // published
	Files     int              `json:"files"`
	Late      int              `json:"late"`
	Rewritten []string         `json:"rewritten,omitempty"` // published files that are others by now
	Waiting   []string         `json:"waiting,omitempty"`   // files that were not whole at the end
	Original  snapshot.Count   `json:"original"`
	Stitched  snapshot.Count   `json:"stitched"`
	Models    int              `json:"models"`  // sets that were used
	Seconds   float64          `json:"seconds"` // that the stream lasted
	Latency   LatencyQuantiles `json:"latency_seconds"`
}

// LatencyQuantiles are of the times, in seconds, from a file's last change to its being
// published.
type LatencyQuantiles struct {
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	Max    float64 `json:"max"`
}

// stream is a stream that is on.
type stream struct {
	options  Options // settled
	dir      string  // OUT/.stream
	models   modelWatch
	progress func(observe.Progress)
	summary  Summary
	began    time.Time
	latency  latencies
	said     map[string]bool // notices
	locked   bool            // whether it was said that another run is at work
	behind   error           // why the last snapshot was not passed on
}

// Run streams until drain is closed, until the file OUT/.stream/stop is there, or until
// nothing has come for as long as the options say, and ends with all published that was
// taken. When ctx ends it ends at once. Progress may be nil.
func Run(ctx context.Context, o Options, drain <-chan struct{}, progress func(observe.Progress)) (Summary, error) {
	o, err := o.settle()
	if err != nil {
		return Summary{}, err
	}
	if !slices.Contains(Runners, o.Runner) {
		return Summary{}, fmt.Errorf("%w: a stream runs on %s, not on %s", failure.ErrUsage, strings.Join(Runners, " or "), o.Runner)
	}
	if err := engine.Prepare(ctx, o.Runner); err != nil {
		return Summary{}, err
	}
	s := &stream{options: o, dir: storage.Join(o.Out, snapshot.StreamName), progress: progress, said: map[string]bool{}, began: time.Now()}
	s.models = modelWatch{dir: o.Models, copies: storage.Join(s.dir, modelsName)}
	release, err := snapshot.LockStream(o.Out)
	if err != nil {
		return Summary{}, err
	}
	defer release()
	if err := remove(s.stopFile()); err != nil {
		return Summary{}, err
	}
	for again := true; again && err == nil; {
		again, err = s.live(ctx, drain)
	}
	if s.behind != nil {
		err = errors.Join(err, s.catchUp(ctx))
	}
	s.summary.Seconds, s.summary.Latency = time.Since(s.began).Seconds(), s.latency.quantiles()
	_, failed := snapshot.SweepStream(o.Out)
	return s.summary, errors.Join(err, failed)
}

// passOn passes a snapshot on to whoever wants it.
func (s *stream) passOn(ctx context.Context, current snapshot.Snapshot) {
	if s.options.Published == nil {
		return
	}
	err := s.options.Published(ctx, current)
	if err != nil && s.behind == nil {
		observe.Say(s.progress, fmt.Sprintf("%s is published, and was not passed on; this is tried again with the next window: %v", current.ID, err))
	}
	s.behind = err
}

// catchUp passes on what could not be before.
func (s *stream) catchUp(ctx context.Context) error {
	current, err := snapshot.Current(s.options.Out)
	if err == nil {
		err = s.options.Published(ctx, current)
	}
	if err != nil {
		return fmt.Errorf("stream: %s is published, and was not passed on: %w", s.summary.Snapshot, err)
	}
	return nil
}

// Names in the folder of a stream, beside those of its lives.
const (
	modelsName = "models"
	stopName   = "stop"
)

// stopFile is the file that has a stream end.
func (s *stream) stopFile() string { return storage.Join(s.dir, stopName) }

// life is a stream with one set of models, between two moves of CURRENT by others: a
// pipeline, and a driver that publishes.
type life struct {
	*stream
	publisher publisher
	folder    folder
	lease     engine.Lease
	source    source
	work      method.Work
	ids       bool // whether D* has a column for ids that are text

	stopping, again bool
	looked          time.Time // when the models were, last
	idle            time.Time // since when nothing was published or on its way
	drained         *drained
}

// live runs one life, and says whether there is another.
func (s *stream) live(ctx context.Context, drain <-chan struct{}) (again bool, err error) {
	l, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer l.lease.End()
	if engine.InProcess(s.options.Runner) { // held over all windows, so that its workers compile once
		release, err := session.Hold(l.work.Session)
		if err != nil {
			return false, err
		}
		defer release()
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.run(running) }()
	err = l.drive(ctx, drain, ended, cancel)
	if errors.Is(err, errOvertaken) {
		observe.Say(s.progress, "CURRENT was moved by another run or a rollback: beginning again from what it names now")
		return true, nil
	}
	return l.again, err
}

// run runs the pipeline to its end.
func (l *life) run(ctx context.Context) error {
	_, err := engine.Pipeline{
		Runner: l.options.Runner, Stage: "streaming", Unbounded: true,
		Build: func(s beam.Scope, job *observe.Job) { graph(s, job, l.source, l.work, l.ids) },
	}.Run(ctx)
	return err
}

// begin takes up what is published, and the models that there are.
func (s *stream) begin(ctx context.Context) (*life, error) {
	if _, err := snapshot.SweepStream(s.options.Out, modelsName, stopName); err != nil {
		return nil, err
	}
	f := folder(storage.Join(s.dir, "run-"+strings.ToLower(rand.Text()[:12])))
	for _, dir := range []string{f.windows(), f.notices()} {
		if err := storage.MkdirAll(dir); err != nil {
			return nil, fmt.Errorf("stream: %w", err)
		}
	}
	l := &life{stream: s, folder: f, idle: time.Now(), looked: time.Now()}
	var err error
	if l.lease, err = engine.TakeLease(string(f)); err != nil {
		return nil, err
	}
	description, err := l.openModels()
	if err != nil {
		return nil, err
	}
	return l, l.takeUp(ctx, description)
}

// openModels settles all that depends on the models.
func (l *life) openModels() (backend string, err error) {
	o := &l.options
	info, dir, err := l.models.take()
	if err != nil {
		return "", err
	}
	l.models.current = info.Hashes()
	l.summary.Models++
	e, err := engine.Backend(o.Backend, o.Runner)
	if err != nil {
		return "", err
	}
	if err := engine.Precise(e.Kind, o.Runner, o.Precision); err != nil {
		return "", fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	w := method.Work{
		Settings: o.Settings, Mix: o.Mix, Seed: o.Seed, Batch: o.Batch, Models: info, Engine: e.Description,
		Shape: datasetio.Shape{ObservationDim: info.ObservationDim, ActionDim: info.ActionDim},
		Dir:   l.folder.windows(), Input: datasetio.Input{Windows: l.folder.windows()},
		Session: session.Options{
			Dir: dir, Kinds: info.Kinds, Hashes: info.Hashes(), Backend: e.Kind, Precision: o.Precision, Batch: o.Batch, Sampler: o.Sampler,
			Return: float32(o.GuidedReturn), Concurrency: o.GPUConcurrency,
		},
	}
	m, err := method.Find(training.MethodDiffStitch)
	if err == nil {
		err = m.Settle(&w)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", failure.ErrUsage, err)
	}
	l.work = w
	return e.Kind, nil
}

// takeUp takes up what is published.
func (l *life) takeUp(ctx context.Context, backend string) error {
	current, err := snapshot.Current(l.options.Out)
	if err != nil && !errors.Is(err, snapshot.ErrNoSnapshot) {
		return err
	}
	if err == nil {
		if err := l.fits(current); err != nil {
			return err
		}
	}
	r, err := remember(ctx, current, l.options.Latest, l.options.Scoring)
	if err != nil {
		return err
	}
	o := l.options
	o.Settings, o.Backend = l.work.Settings, backend
	configuration, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	l.publisher = publisher{
		options: o, configuration: configuration, folder: l.folder, work: &l.work, backend: backend, originalIDs: l.ids,
		parent: current, inputs: map[string]bool{}, history: r.latest, last: committed{Sequence: r.sequence, Snapshot: current.ID},
	}
	for _, in := range current.Manifest.Inputs {
		l.publisher.inputs[in.Path] = true
	}
	l.source = source{
		Folder: l.folder, Lease: l.lease, Out: o.Out, Data: o.Data, Window: o.Window, Poll: o.Poll,
		First: r.sequence + 1, CacheMB: o.CacheMB,
	}
	plan := planning{Work: l.work, Attempts: o.Attempts, Latest: o.Latest, Pool: o.Pool}
	return errors.Join(
		saveHistory(l.folder.history(r.sequence), r.latest),
		saveHistory(l.folder.history(r.sequence-1), r.before),
		storage.WriteJSON(l.folder.planning(), plan),
		storage.WriteJSON(l.folder.committed(), l.publisher.last),
	)
}

// fits is whether windows can be added to a snapshot.
func (l *life) fits(s snapshot.Snapshot) error {
	m, shape := s.Manifest, l.work.Shape
	if m.ObservationDim != shape.ObservationDim || m.ActionDim != shape.ActionDim {
		return fmt.Errorf("%w: %q has observations of %d values and actions of %d, the models in %q were trained on %d and %d",
			failure.ErrData, l.options.Out, m.ObservationDim, m.ActionDim, l.options.Models, shape.ObservationDim, shape.ActionDim)
	}
	if files := s.Files(); len(files) > 0 {
		f, err := dataset.Open(files[0], dataset.Options{Layout: dataset.Transitions})
		if err != nil {
			return err
		}
		l.ids = f.Schema().OriginalIDs
		return f.Close()
	}
	return nil
}

// tick is how often the driver looks for what is finished.
const tick = 50 * time.Millisecond

// drive publishes what is finished until the pipeline has ended, or is to end.
func (l *life) drive(ctx context.Context, drain <-chan struct{}, ended <-chan error, cancel context.CancelFunc) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			if err == nil {
				err = l.settled(ctx)
			}
			return err
		case <-ctx.Done():
			<-ended
			return ctx.Err()
		case <-drain:
			drain = nil
			if err := l.stop(false); err != nil {
				return err
			}
		case <-ticker.C:
		}
		if err := l.step(ctx); err != nil {
			cancel()
			<-ended
			return err
		}
		if l.drained != nil && l.publisher.last.Sequence >= l.drained.Sequence && l.options.Runner != Runners[0] {
			// Flink's job goes on without anything to do.
			cancel()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		}
	}
}

// settled publishes what is left when the pipeline has come to its end.
func (l *life) settled(ctx context.Context) error {
	for {
		if err := l.step(ctx); err != nil {
			return err
		}
		if l.drained != nil && l.publisher.last.Sequence >= l.drained.Sequence {
			return nil
		}
		flying, err := l.folder.inFlight()
		if err != nil {
			return err
		}
		if l.drained == nil || len(flying) == 0 {
			return errors.New("stream: the pipeline ended, and was not asked to")
		}
		time.Sleep(tick) // another run may be at work in OUT
	}
}

// step publishes what is finished, and looks whether the stream is to end.
func (l *life) step(ctx context.Context) error {
	if err := l.publishAll(ctx); err != nil {
		return err
	}
	if err := l.hear(); err != nil {
		return err
	}
	if l.drained == nil {
		var d drained
		if there, err := loadJSON(l.folder.drained(), &d); err != nil {
			return err
		} else if there {
			l.drained, l.summary.Waiting = &d, d.Waiting
		}
	}
	if l.stopping {
		return nil
	}
	stop, err := exists(l.stopFile())
	if err != nil {
		return err
	}
	if stop || l.isIdle() {
		return l.stop(false)
	}
	if time.Since(l.looked) < 5*l.options.Poll {
		return nil
	}
	l.looked = time.Now()
	if l.models.look() {
		return l.swap()
	}
	return nil
}

// swap has the stream go on with the models that were published, once what was taken is
// published with those before.
func (l *life) swap() error {
	before := l.models.current
	info, _, err := l.models.take()
	if err == nil {
		shape := datasetio.Shape{ObservationDim: info.ObservationDim, ActionDim: info.ActionDim}
		w := l.work
		w.Models, w.Settings, w.Shape = info, l.options.Settings, shape
		if shape != l.work.Shape {
			err = fmt.Errorf("they have observations of %d values and actions of %d", shape.ObservationDim, shape.ActionDim)
		} else if m, _ := method.Find(training.MethodDiffStitch); m != nil {
			err = m.Settle(&w)
		}
	}
	if err != nil {
		l.models.current, l.models.refused = before, l.models.seen
		observe.Say(l.progress, fmt.Sprintf("the models that were published in %q cannot be used, those before stay: %v", l.options.Models, err))
		return nil
	}
	observe.Say(l.progress, fmt.Sprintf("new models in %q: going on with them", l.options.Models))
	return l.stop(true)
}

// stop has the source take no more, at the end of the stream or of this life.
func (l *life) stop(again bool) error {
	if !again {
		l.again = false
	}
	if l.stopping {
		return nil
	}
	l.stopping, l.again = true, again
	return storage.WriteJSON(l.folder.stop(), struct{}{})
}

// isIdle is whether nothing has come for as long as the options say.
func (l *life) isIdle() bool {
	return l.options.UntilIdle > 0 && time.Since(l.idle) > l.options.UntilIdle
}

// publishAll publishes the windows that are finished, in order.
func (l *life) publishAll(ctx context.Context) error {
	for {
		s, f, err := l.publisher.finished()
		if err != nil {
			return err
		}
		if f == nil {
			flying, err := l.folder.inFlight()
			if len(flying) > 0 {
				l.idle = time.Now()
			}
			return err
		}
		l.idle = time.Now()
		p, err := l.publisher.publish(s, f)
		if errors.Is(err, snapshot.ErrLocked) {
			if !l.locked {
				observe.Say(l.progress, fmt.Sprintf("windows wait to be published: %v", err))
			}
			l.locked = true
			return nil
		}
		if err != nil {
			return err
		}
		l.locked = false
		l.tell(p)
		if !p.Discarded {
			l.passOn(ctx, l.publisher.parent)
		}
	}
}

// tell adds a window to what the stream came to.
func (l *life) tell(p *published) {
	if p.Discarded {
		return
	}
	s := &l.summary
	s.Snapshot, s.Windows, s.Files, s.Late = l.publisher.parent.ID, s.Windows+1, s.Files+p.Files, s.Late+p.Late
	s.Original.Add(p.Original)
	s.Stitched.Add(p.Stitched)
	for _, seconds := range p.Seconds {
		l.latency.add(seconds)
	}
	if l.progress != nil {
		l.progress(observe.Progress{
			Task: "streaming", Stage: "streaming", Done: s.Original.Episodes, Unit: "episodes", Rate: float64(s.Original.Episodes) / time.Since(l.began).Seconds(),
			Note: fmt.Sprintf("%d windows, %d stitched", s.Windows, s.Stitched.Episodes), Metrics: observe.NewMetrics(),
		})
	}
}

// hear says what the source has to tell, each thing once.
func (l *life) hear() error {
	entries, err := storage.ReadDir(l.folder.notices())
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // on an object store there is none before the first
		return fmt.Errorf("stream: listing notices: %w", err)
	}
	for _, e := range entries {
		if l.said[e.Name()] || filepath.Ext(e.Name()) != ".json" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		var n notice
		if there, err := loadJSON(storage.Join(l.folder.notices(), e.Name()), &n); err != nil || !there {
			return err
		}
		l.said[e.Name()] = true
		if n.Kind == waiting {
			observe.Say(l.progress, fmt.Sprintf("not taken: %s is no data file yet; whatever writes it should rename it when it is whole", n.Path))
			continue
		}
		why := fmt.Sprintf("it was published as it was before; of what it holds since %s nothing is taken: run augment or refresh for a D* of it, or give it another name", n.Modified.Format(time.RFC3339))
		observe.Say(l.progress, fmt.Sprintf("rewritten: %s: %s", n.Path, why))
		l.summary.Rewritten = append(l.summary.Rewritten, n.Path)
		l.publisher.rewritten = append(l.publisher.rewritten, dataset.Reject{File: n.Path, Reason: reasonRewritten, Detail: why})
	}
	return nil
}

// reasonRewritten is why a file that was published is not taken again.
const reasonRewritten dataset.Reason = "rewritten since it was published"

// latencies are a bounded sample of times, and the longest.
type latencies struct {
	sample []float64
	seen   int
	most   float64
}

// mostLatencies bounds the sample: of more, every so many is kept.
const mostLatencies = 4096

func (l *latencies) add(seconds float64) {
	l.most = max(l.most, seconds)
	if len(l.sample) < mostLatencies {
		l.sample = append(l.sample, seconds)
	} else {
		l.sample[l.seen%mostLatencies] = seconds
	}
	l.seen++
}

func (l *latencies) quantiles() LatencyQuantiles {
	if len(l.sample) == 0 {
		return LatencyQuantiles{}
	}
	sorted := slices.Sorted(slices.Values(l.sample))
	return LatencyQuantiles{sorted[(len(sorted)-1)/2], sorted[(len(sorted)-1)*9/10], l.most}
}
