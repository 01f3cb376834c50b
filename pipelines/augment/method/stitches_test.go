package method

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
)

// TestReportSaysWhatWasLearnedFrom: how much of the data the denoiser saw, and what
// bridges do with what no step changes.
func TestReportSaysWhatWasLearnedFrom(t *testing.T) {
	details := training.Details{
		Statistics: training.Statistics{Episodes: 40, EpisodeConstant: []int{4, 5}},
		Windows:    &training.Windows{Episodes: 39, States: 900, Begin: 861, Padded: 86},
	}
	w := &Work{Models: session.Info{Models: map[training.Kind]session.Model{training.Denoiser: {Details: details}}}}
	want := report.Fact{Name: "denoiser learned from", Value: "39 of 40 episodes, 900 states; 10% of 861 windows are padded past their episode's end"}
	if facts := (stitching{}).Summary(w); !slices.Contains(facts, want) {
		t.Errorf("%v: want %v among them", facts, want)
	}
	var page report.Report
	if err := (stitching{}).Picture(w, &page, Sources{}); err != nil {
		t.Fatal(err)
	}
	if len(page.Notices) != 1 || !strings.Contains(page.Notices[0], "of the states, dimension 4, 5.") {
		t.Errorf("notices %q", page.Notices)
	}
}

func TestRejection(t *testing.T) {
	stitch := trajectory.Pair{
		Index: 4, Steps: 2, Similarity: 0.5,
		Low:  trajectory.StateRef{Episode: trajectory.Meta{ID: 7}, Step: 9},
		High: trajectory.StateRef{Episode: trajectory.Meta{ID: 8}, Step: 1},
	}
	lost := stitch
	lost.Similarity = float32(math.Inf(-1))
	tests := []struct {
		outcome  trajectory.Outcome
		ensemble bool
		want     string
	}{
		{
			trajectory.Outcome{Pair: stitch, MaxError: 0.25, Rejected: "dynamics error"}, false,
			`{"index":4,"low_episode_id":7,"low_step":9,"high_episode_id":8,"high_step":1,"steps":2,"similarity":0.5,"max_qualification_error":0.25,"reason":"dynamics error"}`,
		},
		{
			trajectory.Outcome{Pair: lost, MaxError: float32(math.NaN()), MaxDisagreement: float32(math.NaN()), Rejected: "not finite"}, true,
			`{"index":4,"low_episode_id":7,"low_step":9,"high_episode_id":8,"high_step":1,"steps":2,"similarity":null,"max_qualification_error":null,"reason":"not finite"}`,
		},
		{
			trajectory.Outcome{Pair: stitch, MaxError: 0.25, MaxDisagreement: 0.5, Rejected: "ensemble disagreement"}, true,
			`{"index":4,"low_episode_id":7,"low_step":9,"high_episode_id":8,"high_step":1,"steps":2,"similarity":0.5,"max_qualification_error":0.25,"max_ensemble_disagreement":0.5,"reason":"ensemble disagreement"}`,
		},
	}
	for _, test := range tests {
		got, err := json.Marshal(rejection(test.outcome, test.ensemble))
		if err != nil || string(got) != test.want {
			t.Errorf("got %s, %v, want %s", got, err, test.want)
		}
	}
}
