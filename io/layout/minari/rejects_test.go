package minari_test

import (
	"math"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/layout"
	"diffstitch/io/layout/minari"
	"diffstitch/io/trajectory"
	"diffstitch/testing/fixture"
)

// TestRejects spoils an episode in ways that no writer lets through.
func TestRejects(t *testing.T) {
	nan := float32(math.NaN())
	for _, test := range []struct {
		name  string
		spoil func(e *trajectory.Episode)
		want  dataset.Reason
	}{
		{"one step", func(e *trajectory.Episode) {
			e.Observations, e.Actions, e.Rewards = e.Observations[:4], e.Actions[:2], e.Rewards[:1]
		}, dataset.TooShort},
		{"NaN at the end", func(e *trajectory.Episode) { e.FinalObservation[1] = nan }, dataset.NotFinite},
		{"NaN", func(e *trajectory.Episode) { e.Rewards[1] = nan }, dataset.NotFinite},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := fixture.Maze(1, 1)[0]
			test.spoil(e)
			path, err := minari.WriteEpisode(t.TempDir(), layout.ExportConfig{Layout: layout.MinariParquet, ObservationDim: 4, ActionDim: 2}, e)
			if err != nil {
				t.Fatal(err)
			}
			f, err := dataset.Open(path, dataset.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for item, err := range f.Episodes(t.Context()) {
				if err != nil || item.Reject == nil || item.Reject.Reason != test.want {
					t.Errorf("got %+v, %v, want %q", item, err, test.want)
				}
			}
		})
	}
}
