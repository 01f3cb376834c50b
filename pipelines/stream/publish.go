package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/version"
)

// publisher publishes windows, one after the other. It is the driver's, and not a part of
// the pipeline: a DoFn runs as often as a runner wants it to, on workers that it has given
// up too; the driver is one, holds the stream's lock, and looks at CURRENT before and
// after. What it publishes is in CURRENT's manifest: all that a stream that begins again
// needs to know.
type publisher struct {
	options       Options
	configuration json.RawMessage
	folder        folder
	work          *method.Work
	backend       string
	originalIDs   bool // whether D* has a column for them

	parent  snapshot.Snapshot // the current one, zero where there is none
	inputs  map[string]bool   // published, by path
	history []past            // the latest episodes, in order
	last    committed

	rewritten []dataset.Reject // found since the last snapshot
}

// errOvertaken says that CURRENT is another's by now.
var errOvertaken = errors.New("stream: another run published, or CURRENT was moved")

// published is what came of a window.
type published struct {
	snapshot.Stream
	Discarded bool // since some of it had been published
	Seconds   []float64
}

// finished gives the next window, if the pipeline is done with it.
func (p *publisher) finished() (*sealed, *finished, error) {
	flying, err := p.folder.inFlight()
	if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(flying, func(s sealed) bool { return s.Sequence == p.last.Sequence+1 })
	if at < 0 {
		return nil, nil, p.sweep(flying)
	}
	s := &flying[at]
	var f finished
	there, err := loadJSON(storage.Join(p.folder.window(s.Start), finishedName), &f)
	if err != nil || !there {
		return nil, nil, err
	}
	return s, &f, nil
}

// sweep removes what a runner that went back has made again of published windows.
func (p *publisher) sweep(flying []sealed) error {
	for _, s := range flying {
		if s.Sequence <= p.last.Sequence {
			if err := storage.RemoveAll(p.folder.window(s.Start)); err != nil {
				return err
			}
		}
	}
	return nil
}

// publish publishes a window as a micro-snapshot: what the current one has, and its own.
// It fails with snapshot.ErrLocked while another run is at work, and with errOvertaken
// where CURRENT is not as it was left.
func (p *publisher) publish(s *sealed, f *finished) (*published, error) {
	if slices.ContainsFunc(f.Inputs, func(in snapshot.Input) bool { return p.inputs[in.Path] }) {
		// Never seen, since the source knows what is published: but rows must not come twice.
		return &published{Discarded: true}, p.done(s, nil)
	}
	staging, err := snapshot.Begin(p.options.Out, snapshot.Options{Configuration: p.configuration})
	if err != nil {
		return nil, err
	}
	defer staging.Abort() // which does nothing once it is published
	if staging.Parent() != p.parent.ID {
		return nil, errOvertaken
	}
	dir := p.folder.window(s.Start)
	for _, part := range f.Parts {
		if err := adopt(storage.Join(dir, part.File), storage.Join(staging.DataDir(), part.File)); err != nil {
			return nil, err
		}
	}
	m := p.manifest(s, f)
	if err := errors.Join(p.writeRejects(staging, dir), p.writeReport(staging, m)); err != nil {
		return nil, err
	}
	id, err := staging.Commit(m)
	if errors.Is(err, snapshot.ErrOvertaken) {
		return nil, fmt.Errorf("%w: %w", errOvertaken, err)
	}
	if err != nil {
		return nil, err
	}
	if p.parent, err = snapshot.Find(p.options.Out, id); err != nil {
		return nil, err
	}
	p.rewritten = nil
	return p.told(f), p.done(s, f)
}

// told is what is said of a window.
func (p *publisher) told(f *finished) *published {
	t := &published{Stream: *p.parent.Manifest.Stream}
	for _, in := range f.Inputs {
		t.Seconds = append(t.Seconds, time.Since(*in.Modified).Seconds())
	}
	return t
}

// adopt has a file lie at another path, too.
func adopt(from, to string) error {
	if !storage.IsRemote(to) && os.Link(from, to) == nil {
		return nil
	}
	return storage.Copy(from, to)
}

// done leaves a window behind, published with what was finished of it, or discarded.
func (p *publisher) done(s *sealed, f *finished) error {
	dir := p.folder.window(s.Start)
	if f != nil {
		latest, err := loadRecords[past](storage.Join(dir, latestName))
		if err != nil {
			return err
		}
		for _, e := range latest {
			e.Part = storage.Join(p.parent.DataDir(), e.Part)
			p.history = append(p.history, e)
		}
		p.history = slices.Clone(p.history[max(0, len(p.history)-p.options.Latest):])
		for _, in := range f.Inputs {
			p.inputs[in.Path] = true
		}
	}
	if err := saveHistory(p.folder.history(s.Sequence), p.history); err != nil {
		return err
	}
	p.last = committed{s.Sequence, s.End, p.parent.ID}
	if err := storage.WriteJSON(p.folder.committed(), p.last); err != nil {
		return err
	}
	return errors.Join(storage.RemoveAll(dir), remove(p.folder.history(s.Sequence-inFlight-1)))
}

func (p *publisher) manifest(s *sealed, f *finished) snapshot.Manifest {
	of := p.parent.Manifest
	m := snapshot.Manifest{
		Software: version.Software, Method: string(training.MethodDiffStitch), Backend: p.backend, Runner: p.options.Runner, Seed: p.options.Seed,
		ObservationDim: p.work.Shape.ObservationDim, ActionDim: p.work.Shape.ActionDim,
		Schema: dataset.Columns(dataset.WriterConfig{
			ObservationDim: p.work.Shape.ObservationDim, ActionDim: p.work.Shape.ActionDim, OriginalIDs: p.originalIDs,
		}),
		Models: p.work.ModelHashes(), Inputs: append(slices.Clone(of.Inputs), f.Inputs...), Stages: f.Stages,
		Original: of.Original, Stitched: of.Stitched, Repeated: of.Repeated, Generated: of.Generated, Placeholders: of.Placeholders,
	}
	if p.parent.ID != "" {
		m.Parts = p.parent.Inherit()
	}
	own := snapshot.Stream{
		Sequence: s.Sequence, Start: time.UnixMilli(s.Start).UTC(), End: time.UnixMilli(s.End).UTC(),
		Files: len(f.Inputs), Late: s.Late, Rewritten: len(p.rewritten),
	}
	own.Original, own.Stitched = method.AddParts(&m, f.Parts)
	m.Stream = &own
	return m
}

func (p *publisher) writeRejects(staging *snapshot.Staging, dir string) error {
	var r readFiles
	var letters []trajectory.Failure
	_, err := loadJSON(storage.Join(dir, readName), &r)
	if err == nil {
		_, err = loadJSON(storage.Join(dir, failuresName), &letters)
	}
	if err != nil {
		return err
	}
	rejects := append(r.Rejects, p.rewritten...)
	return errors.Join(
		staging.Write(storage.Join(staging.RejectsDir(), "inputs.jsonl"), func(w io.Writer) error { return dataset.WriteRejects(w, rejects) }),
		staging.Write(storage.Join(staging.RejectsDir(), "failures.jsonl"), func(w io.Writer) error { return datasetio.WriteFailures(w, letters) }))
}

func (p *publisher) writeReport(staging *snapshot.Staging, m snapshot.Manifest) error {
	page := report.Report{
		Title: fmt.Sprintf("%s, window %d", storage.Base(p.options.Data.Path), m.Stream.Sequence), Snapshot: staging.ID(), Created: time.Now().UTC(), Software: version.Software,
		Summary: []report.Fact{
			{Name: "window", Value: fmt.Sprintf("%s to %s", m.Stream.Start.Format(time.RFC3339), m.Stream.End.Format(time.RFC3339))},
			{Name: "files", Value: fmt.Sprintf("%d, %d of them late", m.Stream.Files, m.Stream.Late)},
			{Name: "original", Value: fmt.Sprintf("%d episodes, %d transitions", m.Stream.Original.Episodes, m.Stream.Original.Transitions)},
			{Name: "stitched", Value: fmt.Sprintf("%d episodes, %d transitions", m.Stream.Stitched.Episodes, m.Stream.Stitched.Transitions)},
			{Name: "D* so far", Value: fmt.Sprintf("%d transitions in %d files", m.Rows(), len(m.Parts))},
		},
		Stages: m.Stages, Configuration: p.configuration,
	}
	return staging.Write(staging.ReportPath(), func(w io.Writer) error { return report.Write(w, page) })
}

// remove removes a file that may be gone.
func remove(path string) error {
	there, err := exists(path)
	if err != nil || !there {
		return err
	}
	return storage.Remove(path)
}
