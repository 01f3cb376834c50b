// Package method holds the ways to make D_aug: DiffStitch, and the baselines SynthER
// and TATU. A method says what it asks of the settings and the models, builds the
// part of the Beam graph that attempts episodes, and tells of the attempts in the
// report. Reading the data, going in rounds, mixing and publishing are the same for
// all of them, and none of a method's business.
package method

import (
	"context"
	"fmt"
	"iter"

	"diffstitch/io/datasetio"
	"diffstitch/io/report"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/pipelines/observe"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/rank"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// Method is a way to make D_aug.
type Method interface {
	Words() Words
	// Batch is how many attempts a batch has where nothing is said.
	Batch() int
	// Validate reports settings that cannot be, or that contradict each other.
	Validate(s Settings, seed uint64, batch int) error
	// Settle checks the settings against the models, and fills in what they leave
	// open.
	Settle(*Work) error
	// Prepare looks at the data once it is read.
	Prepare(*Work) error
	// Survey is what looks through the data before the first round, in passes; nil where
	// planning needs no more.
	Survey(ctx context.Context, w *Work, pass int) (*Survey, error)
	// Guess is how many attempts to begin with for so many transitions.
	Guess(w *Work, transitions int64) int64
	// Attempt plans the attempts of a round.
	Attempt(ctx context.Context, w *Work, r Round) (Attempts, error)
	// Funnel names the parts of the funnel between the plan and D_aug.
	Funnel(*Work) []Part
	// Measure adds what planning so many attempts would fetch to the amounts.
	Measure(w *Work, attempts int64, a *Amounts)

	// Rejects are what is told of rejected attempts one by one, values to be
	// written as JSON, and the name of the file for them; "" where there is none.
	Rejects(*Work) (file string, lines iter.Seq[any])
	// Summary are the facts that open the report.
	Summary(*Work) []report.Fact
	// Picture adds to the report what only this method has.
	Picture(w *Work, page *report.Report, of Sources) error
}

// Work is a run as a method sees it: what it works with, and what came of it so far.
type Work struct {
	Settings Settings
	Mix      mix.Config
	Seed     uint64
	Batch    int // attempts

	Input   datasetio.Input
	Shape   datasetio.Shape
	Models  session.Info
	Session session.Options // what the workers run: the models that the run began with, and no others
	Engine  string          // what runs the models, for readers
	Dir     string          // folder in which one pipeline leaves its records to the next

	Metas    []trajectory.Meta
	Pools    rank.Pools // empty of a method that ranks no episodes
	Outcomes []trajectory.Outcome

	crossings *pair.Graph // nil where entries are chosen otherwise
	planned   []int64     // the plan's indices of the crossings' bridges, by their number
	surveyed  bool        // whether another pass would find nothing more
	pooled    bool        // whether the run's pool of candidates is planned
}

// Survey is a pipeline that looks through the data, and what takes up what it found.
type Survey struct {
	Build func(s beam.Scope, job *observe.Job)
	Load  func() error
}

// path is a file in the folder of records.
func (w *Work) path(name string) string { return storage.Join(w.Dir, name) }

// accepted are the outcomes that go into D_aug.
func (w *Work) accepted() (kept []trajectory.Outcome) {
	for _, o := range w.Outcomes {
		if o.Rejected == "" {
			kept = append(kept, o)
		}
	}
	return kept
}

// Episodes is how many D_aug has before it is mixed.
func (w *Work) Episodes() (n int64) {
	for _, o := range w.Stitches() {
		n += o.Attempts()
	}
	return n
}

// Round is a part of the plan that is attempted at once: the attempts [First,
// First+Count).
type Round struct {
	Number       int // from 0
	First, Count int64
}

// shares is the prefix of the files in which the round's plan is left to workers.
func (r Round) shares(w *Work) string { return w.path(fmt.Sprintf("plan-%04d", r.Number)) }

// leaps is the prefix of those of the crossings.
func (r Round) leaps(w *Work) string { return w.path(fmt.Sprintf("leaps-%04d", r.Number)) }

// Attempts builds what makes the attempts of a round. It gives a
// PCollection<trajectory.Outcome> and PCollections<trajectory.Failure>.
type Attempts func(s beam.Scope, job *observe.Job) (outcomes beam.PCollection, dead []beam.PCollection)

// Words are what a method's work is called.
type Words struct {
	Step     string // a step of the run, in durations
	Stage    string // its pipeline, in metrics and progress
	Attempts string // what is attempted, many of them
	Made     string // what episodes of D_aug are
	// Counters is the namespace, and Counted the beginning of the names, of the
	// counters of attempts that were accepted and rejected.
	Counters, Counted string
}

// Part is a part of the funnel between the plan and D_aug, with the stages, as their
// DoFns call themselves, that count as it.
type Part struct {
	Name   string
	Stages []string
}

// Sources are where a picture's episodes come from.
type Sources struct {
	Store  *datasetio.Store
	Staged *datasetio.Staged
}
