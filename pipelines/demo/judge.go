package demo

import (
	"fmt"
	"slices"

	"diffstitch/io/report"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/env/pointmaze"
	"diffstitch/pipelines/augment"

	"gonum.org/v1/gonum/stat"
)

// What the demo asks of its stitches.
const (
	leastAccepted  = 0.2  // of the attempted stitches
	mostError      = 0.02 // of the maze's width, median over accepted stitches of the worst step
	leastClear     = 0.95 // of the accepted bridges cross no wall
	leastRankAgree = 0.9  // Spearman, qualification error against true error
)

// judgeMaze replays every generated transition in the simulator.
func judgeMaze(maze *pointmaze.Maze, outcomes []trajectory.Outcome, bridge augment.BridgeOf) (*augment.Verdict, error) {
	truth := report.Truth{Judge: "The maze's own simulator", Unit: "cells"}
	var worst, gains []float64
	clear := 0
	for _, o := range outcomes {
		if o.Staged.Rows == 0 { // not finite: there is nothing to replay
			continue
		}
		b, err := bridge(o)
		if err != nil {
			return nil, err
		}
		next := append(slices.Clone(b.Observations[b.ObservationDim:]), b.FinalObservation...)
		trueError := slices.Max(maze.StepErrors(b.Observations, b.Actions, next))
		truth.Judged = append(truth.Judged, report.Judged{MaxError: float64(o.MaxError), TrueError: trueError, Accepted: o.Rejected == ""})
		if o.Rejected != "" {
			continue
		}
		worst = append(worst, trueError)
		gains = append(gains, o.BridgeReturn+o.HighReturn-o.LowRest)
		if !crosses(maze, b) {
			clear++
		}
	}
	truth.Criteria = criteria(truth.Judged, worst, gains, clear, maze.Width())
	return &augment.Verdict{Truth: truth, Maze: &report.Maze{Width: maze.Width(), Height: maze.Height(), Walls: maze.Walls(), Goal: maze.Goal()}}, nil
}

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

func criteria(judged []report.Judged, worst, gains []float64, clear int, width float64) []report.Criterion {
	accepted := float64(len(worst))
	share := accepted / float64(len(judged))
	agreement := rankCorrelation(judged)
	all := []report.Criterion{
		{Name: "accepted share of the attempted stitches", Target: "≥ 20 %", Measured: percent(share), Met: share >= leastAccepted},
		{Name: "rank correlation (Spearman) of qualification error and true error", Target: "≥ 0.9", Measured: fmt.Sprintf("%.3f", agreement), Met: agreement >= leastRankAgree},
	}
	if len(worst) == 0 {
		return all
	}
	position, gain, walls := median(worst)/width, median(gains), float64(clear)/accepted
	return append(all,
		report.Criterion{Name: "worst one-step position error of an accepted stitch, median, of the maze's width", Target: "≤ 2 %", Measured: percent(position), Met: position <= mostError},
		report.Criterion{Name: "accepted bridges that cross no wall", Target: "≥ 95 %", Measured: percent(walls), Met: walls >= leastClear},
		report.Criterion{Name: "rise in return of the stitched low episodes, median", Target: "> 0", Measured: fmt.Sprintf("%.3g", gain), Met: gain > 0},
	)
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return stat.Quantile(0.5, stat.Empirical, sorted, nil)
}

func rankCorrelation(judged []report.Judged) float64 {
	qualification := make([]float64, len(judged))
	truth := make([]float64, len(judged))
	for i, j := range judged {
		qualification[i], truth[i] = j.MaxError, j.TrueError
	}
	return report.Spearman(qualification, truth)
}
