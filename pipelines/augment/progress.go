package augment

import (
	"fmt"
	"strings"

	"diffstitch/io/datasetio"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/observe"
)

// readingTasks tells what reading has done.
func readingTasks(m observe.Metrics) []observe.Progress {
	read := m.Counters[observe.Name{Namespace: "datasetio", Name: "episodes_read"}]
	return []observe.Progress{{Task: "reading", Done: read, Unit: "episodes"}}
}

// attemptTasks tells how many of a round's attempts have been judged. Where the
// runner has no metrics before the job ends, the batches that are staged tell.
func (r *run) attemptTasks(round method.Round) func(observe.Metrics) []observe.Progress {
	batch, words := int64(r.options.Batch), r.method.Words()
	return func(m observe.Metrics) []observe.Progress {
		accepted := m.Counters[observe.Name{Namespace: words.Counters, Name: words.Counted + "_accepted"}]
		judged := accepted
		for name, n := range m.Counters {
			if name.Namespace == words.Counters && strings.HasPrefix(name.Name, words.Counted+"_rejected_") {
				judged += n
			}
		}
		if judged == 0 {
			staged, _ := datasetio.CountStaged(r.work.Dir, round.First/batch) // what cannot be listed is not shown
			return []observe.Progress{{Task: words.Stage, Done: min(staged*batch, round.Count), Total: round.Count, Unit: words.Attempts}}
		}
		note := fmt.Sprintf("%d accepted", accepted)
		if round.Number > 0 {
			note = fmt.Sprintf("round %d, %s", round.Number+1, note)
		}
		return []observe.Progress{{Task: words.Stage, Done: judged, Total: round.Count, Unit: words.Attempts, Note: note}}
	}
}

// surveying is the pipeline that looks for crossings.
const surveying = "surveying"

func surveyingTasks(m observe.Metrics) []observe.Progress {
	found := m.Counters[observe.Name{Namespace: "survey", Name: "crossings"}]
	return []observe.Progress{{Task: surveying, Done: found, Unit: "crossings"}}
}

// writingTasks tells how much of D* is written.
func writingTasks(total int64) func(observe.Metrics) []observe.Progress {
	return func(m observe.Metrics) []observe.Progress {
		rows := m.Counters[observe.Name{Namespace: "datasetio", Name: "rows_written"}]
		return []observe.Progress{{Task: "writing", Done: rows, Total: total, Unit: "rows"}}
	}
}
