// Package sample picks what a report draws of a dataset, which may be too large to
// be drawn whole.
package sample

import "diffstitch/io/trajectory"

// Size bounds how many episodes a report fetches for one figure.
const Size = 200

// AppendTransitions appends an episode's rows of observation and action to rows:
// [T, S+A].
func AppendTransitions(rows []float32, e *trajectory.Episode) []float32 {
	for step := range e.Len() {
		rows = append(rows, e.Observation(step)...)
		rows = append(rows, e.Action(step)...)
	}
	return rows
}
