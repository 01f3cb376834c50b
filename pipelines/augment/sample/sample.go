// Package sample picks what a report draws of a dataset, which may be too large to
// be drawn whole.
package sample

import "diffstitch/io/trajectory"

// Size bounds how many episodes a report fetches for one figure.
const Size = 200

// Spread picks up to n of the items, evenly.
func Spread[T any](items []T, n int) []T {
	if len(items) <= n {
		return items
	}
	picked := make([]T, n)
	for i := range picked {
		picked[i] = items[i*len(items)/n]
	}
	return picked
}

// AppendTransitions appends an episode's rows of observation and action to rows:
// [T, S+A].
func AppendTransitions(rows []float32, e *trajectory.Episode) []float32 {
	for step := range e.Len() {
		rows = append(rows, e.Observation(step)...)
		rows = append(rows, e.Action(step)...)
	}
	return rows
}
