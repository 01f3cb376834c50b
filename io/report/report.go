// Package report writes what a run did as one HTML file that needs nothing
// else: no scripts, no fonts, no network. Pictures are inline SVG whose colours
// follow the reader's light or dark scheme.
//
// The pipelines fill in a Report, plain data; every section is written only if
// its data is there.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"diffstitch/io/snapshot"
)

// Report is all that the page can show.
type Report struct {
	Title    string
	Snapshot string // id
	Created  time.Time
	Software string
	Notices  []string // said above everything else, as the backend's fallback
	Summary  []Fact   // a few choices of the run: backend, conditioning, sampler, δ, seed
	Headline *Headline

	Stages    []snapshot.Stage
	Durations []snapshot.Duration
	Metrics   snapshot.Metrics

	// Attempts are the attempted stitches that reached qualification.
	Attempts []Attempt
	// Threshold is δ; 0 where qualification was off.
	Threshold float64
	// Returns are of the states left of an accepted stitch (Figure 4 of the paper).
	Returns     []Return
	Paths       *Paths
	Pools       *Pools
	Transitions *Comparison
	Losses      []Loss
	HeldOut     []Error // of the dynamics model
	Truth       *Truth

	Configuration json.RawMessage // of the run, any JSON
	Rejects       []Reject        // the first are shown, all are counted
}

// Fact is a name and its value.
type Fact struct{ Name, Value string }

// Headline is what the run came to.
type Headline struct {
	Unit                string // of what was attempted; stitches where it is empty
	Attempted, Accepted int64
	Before, After       int64 // transitions of D and of D*
}

// Attempt is one attempted stitch.
type Attempt struct {
	Steps    int     // Δ, its step estimation
	MaxError float64 // the largest qualification error of its transitions
	Accepted bool
}

// Return is the return-to-go of one state of a low episode, as the episode was
// and as it is once stitched.
type Return struct{ Before, After float64 }

// Paths are stitched trajectories to draw (Figure 3 of the paper).
type Paths struct {
	ObservationDim int
	Paths          []Path
	// Maze makes the pictures x–y maps of the first two observations; without it
	// they show the first two principal components.
	Maze *Maze
}

// Path is one stitched trajectory.
type Path struct {
	Caption string
	States  []float32 // [n, ObservationDim]
	// Bridges are the states that were generated, in order. Those before the first are of
	// the low episode, those after the last of the high one.
	Bridges []Span
}

// Span is the states [From, To) of a path.
type Span struct{ From, To int }

// Maze is what surrounds a path: walls are unit squares, given by their lower
// left corner.
type Maze struct {
	Width, Height float64
	Walls         [][2]float64
	Goal          [2]float64
}

// Pools are the returns of the episodes that were and were not ranked into a
// pool.
type Pools struct{ Low, Between, High []float64 }

// Comparison is a sample of real transitions beside one of generated ones.
type Comparison struct {
	Columns         []string  // d names, of state and action dimensions
	Real, Generated []float32 // [n, d]
}

// Loss is a model's training.
type Loss struct {
	Model          string
	Train, HeldOut []LossPoint
}

// Error is what a model is off by on held-out data.
type Error struct {
	Of           string // “a transition”
	Raw, Spreads Quantiles
}

// Quantiles are some of a distribution's.
type Quantiles struct{ Median, P90, P99, Max float64 }

// LossPoint is the loss after a number of training steps.
type LossPoint struct {
	Step  int
	Value float64
}

// Truth is what a simulator said of the stitches.
type Truth struct {
	Judge    string // who judged, to begin a sentence with: “The built-in maze”
	Unit     string // of the true error
	Criteria []Criterion
	Judged   []Judged

	// Kinds are single transitions: real ones, real ones with wrong actions, and
	// generated ones by their source. Those below Bound count as true.
	Kinds []Errors
	Bound float64

	// Lead are the figures that are shown before everything else: whether the data
	// can be trusted, and whether it helps.
	Lead []Fact
}

// Errors are the true errors of the transitions of a kind.
type Errors struct {
	Name   string
	Values []float64
}

// Criterion is a figure that was asked for, and what came of it.
type Criterion struct {
	Name, Target, Measured string
	Met                    bool
}

// Judged is one stitch: the largest qualification error of its transitions, and
// their largest true error.
type Judged struct {
	MaxError, TrueError float64
	Accepted            bool
}

// Reject is a file or an episode that was not used.
type Reject struct{ Where, Reason string }

// Write writes the report as one HTML page.
func Write(w io.Writer, r Report) error {
	p, err := newPage(r)
	if err != nil {
		return fmt.Errorf("report: drawing %q: %w", r.Title, err)
	}
	if err := pageTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("report: writing %q: %w", r.Title, err)
	}
	return nil
}
