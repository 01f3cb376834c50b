package pipelines

import (
	"fmt"
	"strings"
	"time"

	"diffstitch/io/datasetio"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/observe"
)

// readingTasks tells what reading has done.
func readingTasks(m observe.Metrics) []Progress {
	read := m.Counters[observe.Name{Namespace: "datasetio", Name: "episodes_read"}]
	return []Progress{{Task: "reading", Done: read, Unit: "episodes"}}
}

// attemptTasks tells how many of a round's attempts have been judged. Where the
// runner has no metrics before the job ends, the batches that are staged tell.
func (run *augmentation) attemptTasks(round int, first, total int64) func(observe.Metrics) []Progress {
	batch, words := int64(run.options.Batch), run.method.words()
	return func(m observe.Metrics) []Progress {
		accepted := m.Counters[observe.Name{Namespace: words.counters, Name: words.counted + "_accepted"}]
		judged := accepted
		for name, n := range m.Counters {
			if name.Namespace == words.counters && strings.HasPrefix(name.Name, words.counted+"_rejected_") {
				judged += n
			}
		}
		if judged == 0 {
			staged, _ := datasetio.CountStaged(run.staging.WorkDir(), first/batch) // what cannot be listed is not shown
			return []Progress{{Task: words.stage, Done: min(staged*batch, total), Total: total, Unit: words.attempts}}
		}
		note := fmt.Sprintf("%d accepted", accepted)
		if round > 0 {
			note = fmt.Sprintf("round %d, %s", round+1, note)
		}
		return []Progress{{Task: words.stage, Done: judged, Total: total, Unit: words.attempts, Note: note}}
	}
}

// writingTasks tells how much of D* is written.
func writingTasks(total int64) func(observe.Metrics) []Progress {
	return func(m observe.Metrics) []Progress {
		rows := m.Counters[observe.Name{Namespace: "datasetio", Name: "rows_written"}]
		return []Progress{{Task: "writing", Done: rows, Total: total, Unit: "rows"}}
	}
}

// expectedRows is how many rows D* will have; 0 where a ratio decides it.
func (run *augmentation) expectedRows() int64 {
	if ratio := run.options.Mix.Ratio; ratio.Original != 0 || ratio.Augmented != 0 {
		return 0
	}
	_, augmented := run.accepted()
	return originalRows(run.metas) + augmented
}

// The metrics of a model's training.
const (
	stepsTaken     = "optimizer_steps"
	stepsPlanned   = "optimizer_steps_planned"
	lossMillionths = "loss_millionths"
)

func trainingNamespace(kind training.Kind) string { return "training." + string(kind) }

// trainingTasks tells the steps of the models whose training began.
func trainingTasks(m observe.Metrics) (tasks []Progress) {
	for _, kind := range training.Kinds {
		in := func(name string) observe.Name { return observe.Name{Namespace: trainingNamespace(kind), Name: name} }
		if steps, began := m.Counters[in(stepsTaken)]; began {
			tasks = append(tasks, Progress{
				Task: "training " + string(kind), Done: steps, Total: m.Gauges[in(stepsPlanned)].Value, Unit: "steps",
				Note: fmt.Sprintf("loss %.4f", float64(m.Gauges[in(lossMillionths)].Value)/1e6),
			})
		}
	}
	return tasks
}

// teller tells the progress of what is no Beam pipeline, with rates.
type teller struct {
	stage string
	show  func(Progress) // may be nil
	meter observe.Meter
}

func newTeller(stage string, show func(Progress)) *teller {
	return &teller{stage: stage, show: show, meter: observe.Meter{Now: time.Now}}
}

func (t *teller) tell(p Progress) {
	if t.show != nil {
		p.Stage, p.Rate = t.stage, t.meter.Rate(p.Task, p.Done)
		t.show(p)
	}
}
