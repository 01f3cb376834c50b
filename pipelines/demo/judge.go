package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/env/pointmaze"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/evaluate"
	"diffstitch/pipelines/evaluate/truth"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// What the demo asks of its stitches and of the learner.
const (
	leastAccepted = 0.4  // of the attempted stitches
	leastTrue     = 0.95 // of the accepted ones, in every transition
	mostBefore    = 0.1  // of the episodes of the policies that learnt from D reach the goal
	leastAfter    = 0.8  // of those of the policies that learnt from D*
)

// judge measures whether D* is true, and whether it helps.
type judge struct {
	maze          *pointmaze.Maze
	before, after evaluate.Evaluation // of the policies that learnt from D and from D*
}

// judge replays every generated transition in the simulator.
func (j judge) judge(ctx context.Context, judged augment.Judged) (*augment.Verdict, error) {
	found, err := truth.Judge(ctx, truth.Options{Data: input.Data{Path: judged.Data}, Env: pointmaze.Name}, nil)
	if err != nil && !errors.Is(err, failure.ErrData) { // of nothing accepted nothing is true
		return nil, err
	}
	said := report.Truth{Judge: "The maze's own simulator", Unit: "cells"}
	kept, walls := 0, 0
	for _, o := range judged.Outcomes {
		if o.Staged.Rows == 0 { // not finite: there is nothing to replay
			continue
		}
		b, err := judged.Bridge(o)
		if err != nil {
			return nil, err
		}
		next := append(slices.Clone(b.Observations[b.ObservationDim:]), b.FinalObservation...)
		trueError := slices.Max(j.maze.StepErrors(b.Observations, b.Actions, next))
		said.Judged = append(said.Judged, report.Judged{MaxError: float64(o.MaxError), TrueError: trueError, Accepted: accepted(o)})
		if !accepted(o) {
			continue
		}
		kept++
		if crosses(j.maze, b) {
			walls++
		}
	}
	share := float64(kept) / float64(max(1, len(said.Judged)))
	said.Lead = j.lead(found)
	said.Criteria = j.criteria(found, share, walls)
	m := j.maze
	return &augment.Verdict{Truth: said, Maze: &report.Maze{Width: m.Width(), Height: m.Height(), Walls: m.Walls(), Goal: m.Goal()}}, nil
}

// accepted is whether a stitch belongs to D*.
func accepted(o trajectory.Outcome) bool { return o.Rejected == "" }

// crosses says whether a bridge goes through a wall between any two states.
func crosses(maze *pointmaze.Maze, bridge *trajectory.Episode) bool {
	for step := range bridge.Len() {
		from := bridge.Observation(step)
		to, _ := bridge.NextObservation(step)
		if maze.CrossesWall([2]float32(from), [2]float32(to)) {
			return true
		}
	}
	return false
}

// wholly is the share of the accepted stitches that are true in every transition.
func wholly(t truth.Truth) float64 {
	if e := t.Generated[trajectory.Stitched].Episodes; e != nil {
		return e.True
	}
	return 0
}

// lead is what is said first.
func (j judge) lead(t truth.Truth) []report.Fact {
	return []report.Fact{
		{Name: fmt.Sprintf("of the accepted stitches are true in every transition (real data: %s, actions shuffled: %s)", percent(t.Real.True), percent(t.Shuffled.True)), Value: percent(wholly(t))},
		{Name: "of three policies' episodes reach the goal from the start: learnt from D → from D*", Value: percent(*j.before.Success) + " → " + percent(*j.after.Success)},
	}
}

func (j judge) criteria(t truth.Truth, accepted float64, walls int) []report.Criterion {
	whole, before, after := wholly(t), *j.before.Success, *j.after.Success
	return []report.Criterion{
		{Name: "accepted stitches that are true in every transition", Target: "≥ 95 %", Measured: percent(whole), Met: whole >= leastTrue},
		{Name: "success of the policies that learnt from D", Target: "≤ 10 %", Measured: percent(before), Met: before <= mostBefore},
		{Name: "success of the policies that learnt from D*", Target: "≥ 80 %", Measured: percent(after), Met: after >= leastAfter},
		{Name: "accepted share of the attempted stitches", Target: "≥ 40 %", Measured: percent(accepted), Met: accepted >= leastAccepted},
		{Name: "accepted bridges that cross a wall", Target: "0", Measured: fmt.Sprint(walls), Met: walls == 0},
	}
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
