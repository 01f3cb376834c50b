package demo

import (
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/evaluate/truth"
)

// TestCriteria has one figure after the other miss what is asked for.
func TestCriteria(t *testing.T) {
	figures := func(whole, before, after, accepted float64, walls int) []bool {
		j := judge{before: evaluate.Evaluation{Success: &before}, after: evaluate.Evaluation{Success: &after}}
		found := truth.Truth{Generated: map[string]truth.TrueErrors{
			trajectory.Stitched: {Episodes: &truth.Episodes{Count: 10, True: whole}},
		}}
		var met []bool
		for _, c := range j.criteria(found, accepted, walls) {
			met = append(met, c.Met)
		}
		if lead := j.lead(found); lead[0].Value != percent(whole) || lead[1].Value != percent(before)+" → "+percent(after) {
			t.Errorf("said first: %v", lead)
		}
		return met
	}
	tests := map[int][]bool{
		0: figures(0.94, 0.1, 0.8, 0.4, 0),
		1: figures(0.95, 0.11, 0.8, 0.4, 0),
		2: figures(0.95, 0.1, 0.79, 0.4, 0),
		3: figures(0.95, 0.1, 0.8, 0.39, 0),
		4: figures(0.95, 0.1, 0.8, 0.4, 1),
	}
	for missed, met := range tests {
		for i, ok := range met {
			if ok != (i != missed) {
				t.Errorf("criterion %d is met: %v, where %d is missed", i, ok, missed)
			}
		}
	}
}
