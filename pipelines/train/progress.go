package train

import (
	"context"
	"fmt"
	"math"

	"diffstitch/modelops/training"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// The metrics of a model's training.
const (
	stepsTaken     = "optimizer_steps"
	stepsPlanned   = "optimizer_steps_planned"
	lossMillionths = "loss_millionths"
)

func namespace(kind training.Kind) string { return "training." + string(kind) }

// countSteps counts the optimizer steps of a model, those before an
// interruption too.
func countSteps(ctx context.Context, kind training.Kind) func(training.Progress) {
	in := namespace(kind)
	steps, planned, loss := beam.NewCounter(in, stepsTaken), beam.NewGauge(in, stepsPlanned), beam.NewGauge(in, lossMillionths)
	counted := 0
	return func(p training.Progress) {
		steps.Inc(ctx, int64(p.Step-counted))
		planned.Set(ctx, int64(p.Steps))
		loss.Set(ctx, int64(math.Round(p.Loss*1e6)))
		counted = p.Step
	}
}

// tasks tells the steps of the models whose training began.
func tasks(m observe.Metrics) (told []observe.Progress) {
	for _, kind := range training.Kinds {
		in := func(name string) observe.Name { return observe.Name{Namespace: namespace(kind), Name: name} }
		if steps, began := m.Counters[in(stepsTaken)]; began {
			told = append(told, observe.Progress{
				Task: "training " + string(kind), Done: steps, Total: m.Gauges[in(stepsPlanned)].Value, Unit: "steps",
				Note: fmt.Sprintf("loss %.4f", float64(m.Gauges[in(lossMillionths)].Value)/1e6),
			})
		}
	}
	return told
}
