package pipelines

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/report"
	"diffstitch/io/snapshot"
	"diffstitch/io/trajectory"
	"diffstitch/pipelines/observe"
)

// publish writes the rejects, the report and the manifest, and commits.
func (run *augmentation) publish(judge Judge) (snapshot.Snapshot, error) {
	none := snapshot.Snapshot{}
	if err := run.writeRejects(); err != nil {
		return none, err
	}
	start := time.Now()
	page, err := run.report(judge)
	if err != nil {
		return none, err
	}
	run.took("report", time.Since(start).Seconds())
	manifest := run.manifest()
	page.Durations, page.Metrics = manifest.Durations, manifest.Metrics
	if err := writeFile(run.staging.ReportPath(), func(w io.Writer) error { return report.Write(w, page) }); err != nil {
		return none, err
	}
	if _, err := run.staging.Commit(manifest); err != nil {
		return none, err
	}
	return snapshot.Current(run.options.Out)
}

// close gives up what was not published.
func (run *augmentation) close() error { return run.staging.Abort() }

func (run *augmentation) writeRejects() error {
	inputs := filepath.Join(run.staging.RejectsDir(), "inputs.jsonl")
	if err := writeFile(inputs, func(w io.Writer) error { return dataset.WriteRejects(w, run.rejects) }); err != nil {
		return err
	}
	failures := filepath.Join(run.staging.RejectsDir(), "failures.jsonl")
	if err := writeFile(failures, run.writeFailures); err != nil {
		return err
	}
	return run.method.rejects(run)
}

// writeFile writes a file of the staging, which nobody reads before the commit.
func writeFile(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("pipelines: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("pipelines: %w", err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("pipelines: writing %q: %w", path, err)
	}
	return nil
}

func (run *augmentation) manifest() snapshot.Manifest {
	m := snapshot.Manifest{
		Software:       Software,
		Backend:        run.engine.Kind,
		Runner:         run.options.Runner,
		Method:         string(run.options.Method),
		Seed:           run.options.Seed,
		ObservationDim: run.shape.ObservationDim,
		ActionDim:      run.shape.ActionDim,
		Stages:         run.stages(),
		Durations:      totals(run.durations),
		Metrics:        run.measured(),
	}
	for _, f := range run.files {
		m.Inputs = append(m.Inputs, snapshot.Input{Path: f.Path, Bytes: f.Bytes, SHA256: f.SHA256})
	}
	for _, kind := range run.models.Kinds {
		m.Models = append(m.Models, snapshot.Model{Kind: string(kind), SHA256: run.models.Models[kind].Hash})
	}
	for _, p := range run.parts {
		m.Parts = append(m.Parts, snapshot.Part{File: "data/" + p.File, Rows: p.Rows})
		m.Original.Episodes += p.Episodes - p.Stitched
		m.Original.Transitions += p.Rows - p.StitchedRows
		m.Stitched.Episodes += p.Stitched
		m.Stitched.Transitions += p.StitchedRows
		m.Generated += p.BridgeRows
		m.Placeholders += p.UnknownFinals
	}
	return m
}

// measured lists the metrics of the run's pipelines in an order that does not
// depend on the run.
func (run *augmentation) measured() (all snapshot.Metrics) {
	for _, stage := range []string{"reading", run.method.words().stage, "writing"} {
		m := run.metrics[stage]
		for _, name := range slices.SortedFunc(maps.Keys(m.Counters), observe.Name.Compare) {
			all.Counters = append(all.Counters, snapshot.Counter{
				Stage: stage, Namespace: name.Namespace, Name: name.Name, Value: m.Counters[name],
			})
		}
		for _, name := range slices.SortedFunc(maps.Keys(m.Distributions), observe.Name.Compare) {
			d := m.Distributions[name]
			all.Distributions = append(all.Distributions, snapshot.Distribution{
				Stage: stage, Namespace: name.Namespace, Name: name.Name, Count: d.Count, Sum: d.Sum, Min: d.Min, Max: d.Max,
			})
		}
	}
	return all
}

// totals adds up the durations of equal stages, as rounds have.
func totals(durations []snapshot.Duration) []snapshot.Duration {
	var sums []snapshot.Duration
	at := map[string]int{}
	for _, d := range durations {
		i, known := at[d.Stage]
		if !known {
			at[d.Stage] = len(sums)
			sums = append(sums, d)
			continue
		}
		sums[i].Seconds += d.Seconds
	}
	return sums
}

// stages is the funnel: what came in, what went out, and why the rest did not.
func (run *augmentation) stages() []snapshot.Stage {
	rejected := map[string]int64{}
	for _, r := range run.rejects {
		rejected[string(r.Reason)]++
	}
	episodes := int64(len(run.metas))
	accepted, _ := run.accepted()
	var written int64
	for _, p := range run.parts {
		written += p.Episodes
	}
	stages := []snapshot.Stage{
		{Stage: "read", Unit: "episodes", In: episodes + int64(len(run.rejects)), Out: episodes, Dropped: rejected},
	}
	if ranked := int64(len(run.pools.Low) + len(run.pools.High)); ranked > 0 {
		stages = append(stages, snapshot.Stage{Stage: "rank", Unit: "episodes", In: episodes, Out: ranked, Dropped: dropped("between the pools", episodes-ranked)})
	}
	stages = append(stages, run.attempted()...)
	return append(stages, snapshot.Stage{
		Stage: "mix", Unit: "episodes", In: episodes + accepted, Out: written,
		Dropped: dropped("to hold the ratio", episodes+accepted-written),
	})
}

func dropped(reason string, n int64) map[string]int64 {
	if n == 0 {
		return nil
	}
	return map[string]int64{reason: n}
}

// Verdict is what a judge says of the attempted stitches.
type Verdict struct {
	Truth report.Truth
	Maze  *report.Maze
}

// sampleSize bounds what the report fetches of a dataset to draw it.
const sampleSize = 200

// spread picks up to n of the items, evenly.
func spread[T any](items []T, n int) []T {
	if len(items) <= n {
		return items
	}
	picked := make([]T, n)
	for i := range picked {
		picked[i] = items[i*len(items)/n]
	}
	return picked
}

// returnToGo is the sum of rewards from each step on, [T].
func returnToGo(e *trajectory.Episode) []float64 {
	sums := make([]float64, e.Len())
	sum := 0.0
	for i := e.Len() - 1; i >= 0; i-- {
		sum += float64(e.Rewards[i])
		sums[i] = sum
	}
	return sums
}
