package augment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"diffstitch/io/dataset"
	"diffstitch/io/report"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"
	"diffstitch/pipelines/version"
)

// publish writes the rejects, the report and the manifest, and commits.
func (r *run) publish(judge Judge) (snapshot.Snapshot, error) {
	none := snapshot.Snapshot{}
	if err := r.writeRejects(); err != nil {
		return none, err
	}
	start := time.Now()
	page, err := r.report(judge)
	if err != nil {
		return none, err
	}
	r.took("report", time.Since(start).Seconds())
	manifest := r.manifest()
	manifest.Quality = r.quality(page)
	page.Durations, page.Metrics = manifest.Durations, manifest.Metrics
	if gate := r.options.Gate; gate != nil {
		if err := gate(&manifest); errors.Is(err, failure.ErrRefused) {
			return none, r.refuse(page, manifest, err)
		} else if err != nil {
			return none, err
		}
	}
	if err := r.staging.Write(r.staging.ReportPath(), func(w io.Writer) error { return report.Write(w, page) }); err != nil {
		return none, err
	}
	if _, err := r.staging.Commit(manifest); err != nil {
		return none, err
	}
	return snapshot.Current(r.options.Out)
}

// quality is how good D_aug is, by what the page shows.
func (r *run) quality(page report.Report) *snapshot.Quality {
	q := &snapshot.Quality{Acceptance: float64(r.accepted()) / float64(max(1, r.judged()+r.failed()))}
	var worst []float64
	for _, a := range page.Attempts {
		if a.Accepted {
			worst = append(worst, a.MaxError)
		}
	}
	if len(worst) > 0 {
		slices.Sort(worst)
		q.Error = &worst[len(worst)/2]
	}
	if score, known := page.Transitions.MarginalScore(); known {
		q.Marginals = &score
	}
	return q
}

// refuse leaves the page and the manifest of a snapshot that is not published where the
// error says.
func (r *run) refuse(page report.Report, m snapshot.Manifest, why error) error {
	page.Notices = append([]string{"This snapshot is not published: " + why.Error()}, page.Notices...)
	m.ID, m.Created, m.Parent, m.Configuration = r.staging.ID(), page.Created, r.staging.Parent(), r.configuration
	dir := r.staging.RefusedDir()
	if err := storage.MkdirAll(dir); err != nil {
		return err
	}
	path := storage.Join(dir, "index.html")
	if err := storage.WriteWhole(path, func(w io.Writer) error { return report.Write(w, page) }); err != nil {
		return err
	}
	if err := storage.WriteJSON(storage.Join(dir, "manifest.json"), m); err != nil {
		return err
	}
	return fmt.Errorf("augment: %w (its report: %s)", why, path)
}

func (r *run) writeRejects() error {
	inputs := storage.Join(r.staging.RejectsDir(), "inputs.jsonl")
	if err := r.staging.Write(inputs, func(w io.Writer) error { return dataset.WriteRejects(w, r.rejects) }); err != nil {
		return err
	}
	failures := storage.Join(r.staging.RejectsDir(), "failures.jsonl")
	if err := r.writeFailures(failures); err != nil {
		return err
	}
	return r.writeAttempts()
}

// writeAttempts writes what the method tells of rejected attempts, a line each.
func (r *run) writeAttempts() error {
	file, lines := r.method.Rejects(&r.work)
	if file == "" {
		return nil
	}
	return r.staging.Write(storage.Join(r.staging.RejectsDir(), file), func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		for line := range lines {
			if err := encoder.Encode(line); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *run) manifest() snapshot.Manifest {
	m := snapshot.Manifest{
		Software: version.Software,
		Backend:  r.engine.Kind,
		Runner:   r.options.Runner,
		Method:   string(r.options.Method),
		Seed:     r.options.Seed,
		Schema: dataset.Columns(dataset.WriterConfig{
			ObservationDim: r.dataset.Shape.ObservationDim, ActionDim: r.dataset.Shape.ActionDim, OriginalIDs: r.dataset.OriginalIDs,
		}),
		ObservationDim: r.dataset.Shape.ObservationDim,
		ActionDim:      r.dataset.Shape.ActionDim,
		Notes:          r.dataset.Notes,
		Stages:         r.stages(),
		Durations:      totals(r.durations),
		Metrics:        r.measured(),
	}
	for _, f := range r.files {
		m.Inputs = append(m.Inputs, snapshot.Input{Path: f.Path, Bytes: f.Bytes, SHA256: f.SHA256})
	}
	m.Models = r.work.ModelHashes()
	method.AddParts(&m, r.parts)
	return m
}

// measured lists the metrics of the run's pipelines in an order that does not
// depend on the run.
func (r *run) measured() (all snapshot.Metrics) {
	for _, stage := range []string{"reading", surveying, r.method.Words().Stage, "writing"} {
		m := r.metrics[stage]
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
func (r *run) stages() []snapshot.Stage {
	rejected := map[string]int64{}
	for _, reject := range r.rejects {
		rejected[string(reject.Reason)]++
	}
	episodes := int64(len(r.work.Metas))
	augmented := r.work.Episodes()
	var written, repeated int64
	for _, p := range r.parts {
		written += p.Episodes
		repeated += p.Repeated
	}
	stages := []snapshot.Stage{
		{Stage: "read", Unit: "episodes", In: episodes + int64(len(r.rejects)), Out: episodes, Dropped: rejected},
	}
	if ranked := int64(len(r.work.Pools.Low) + len(r.work.Pools.High)); ranked > 0 {
		stages = append(stages, snapshot.Stage{Stage: "rank", Unit: "episodes", In: episodes, Out: ranked, Dropped: dropped("between the pools", episodes-ranked)})
	}
	stages = append(stages, r.attempted()...)
	if bridges := stages[len(stages)-1].Out; bridges > augmented {
		idle := r.work.Idle()
		reasons := dropped("another bridge of an episode", bridges-augmented-idle)
		maps.Copy(reasons, dropped("gains nothing without rejected ones", idle))
		stages = append(stages, snapshot.Stage{Stage: "chain", Unit: "bridges", In: bridges, Out: augmented, Dropped: reasons})
	}
	return append(stages, snapshot.Stage{
		Stage: "mix", Unit: "episodes", In: episodes + augmented, Out: written,
		Dropped: dropped("to hold the ratio", episodes+augmented+repeated-written), Repeated: repeated,
	})
}

func dropped(reason string, n int64) map[string]int64 {
	reasons := map[string]int64{}
	if n != 0 {
		reasons[reason] = n
	}
	return reasons
}
