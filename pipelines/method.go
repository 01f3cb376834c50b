package pipelines

import (
	"context"
	"errors"
	"fmt"

	"diffstitch/io/report"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// method is a way to make D_aug: what it asks of the settings and the models, how
// it attempts episodes, and what it tells of them. Reading the data, rounds of
// attempts, mixing and publishing are the same for all.
type method interface {
	words() words
	// batch is how many attempts a batch has where nothing is said.
	batch() int
	// validate reports settings that cannot be, or that contradict each other.
	validate(AugmentOptions) error
	// settle checks the settings against the models, and fills in what they leave
	// open.
	settle(*augmentation) error
	// prepare looks at the data once it is read.
	prepare(*augmentation) error
	// guess is how many attempts to begin with for so many transitions.
	guess(o AugmentOptions, wanted int64) int64
	// attempt plans the attempts [first, first+count).
	attempt(ctx context.Context, run *augmentation, round int, first, count int64) (attempts, error)
	// funnel names the parts of the funnel between the plan and D_aug.
	funnel() []funnelPart
	// measure adds what planning would fetch to the amounts.
	measure(run *augmentation, count int64, a *Amounts)

	// rejects writes what is told of rejected attempts, one by one.
	rejects(*augmentation) error
	summary(*augmentation) []report.Fact
	// picture adds to the report what only this method has.
	picture(run *augmentation, page *report.Report, of sources) error
}

// attempts builds what makes the attempts of a round. It gives a
// PCollection<trajectory.Outcome> and PCollections<trajectory.Failure>.
type attempts func(s beam.Scope, job *observe.Job) (outcomes beam.PCollection, dead []beam.PCollection)

// words are what a method's work is called.
type words struct {
	step     string // a step of the run, in durations
	stage    string // its pipeline, in metrics and progress
	attempts string // what is attempted, many of them
	made     string // what episodes of D_aug are
	// counters is the namespace, and the beginning of the names, of the counters of
	// attempts that were accepted and rejected.
	counters, counted string
}

// funnelPart is a part of the funnel between the plan and D_aug, with the stages, as
// their DoFns call themselves, that count as it.
type funnelPart struct {
	name   string
	stages []string
}

// methods by their names.
var methods = map[training.Method]method{
	training.MethodDiffStitch: stitching{},
	training.MethodSynthER:    synthesizing{},
	training.MethodTATU:       rolling{},
}

// findMethod gives the method of a name.
func findMethod(name training.Method) (method, error) {
	m, known := methods[name]
	if !known {
		return nil, fmt.Errorf("unknown method %q: it is one of %v", name, training.Methods)
	}
	return m, nil
}

// amount reports an amount that says nothing, or too much.
func (o AugmentOptions) amount() error {
	switch {
	case o.Stitches < 0 || o.Transitions < 0:
		return errors.New("a negative amount of stitches or transitions is asked for")
	case o.Stitches > 0 && o.Transitions > 0:
		return errors.New("--stitches says how many to attempt and --transitions how many to obtain: give one of them")
	case o.Stitches > 0 && o.Method != training.MethodDiffStitch:
		return fmt.Errorf("--stitches is for --method %s: with %s say by --transitions how many to make, or by a --mix ratio", training.MethodDiffStitch, o.Method)
	case o.Stitches == 0 && o.Transitions == 0 && (o.Mix.Ratio.Original == 0 || o.Mix.Ratio.Augmented == 0):
		return errors.New("give --stitches, or --transitions, or a --mix ratio that says how many transitions to make")
	}
	return nil
}
