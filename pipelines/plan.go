package pipelines

import (
	"encoding/json"
	"fmt"

	"diffstitch/modelops/session"
)

// AugmentPlan says what an augmentation would do.
type AugmentPlan struct {
	Files          []string        `json:"files"`
	ObservationDim int             `json:"observation_dim"`
	ActionDim      int             `json:"action_dim"`
	Horizon        int             `json:"horizon,omitempty"`
	Conditioning   string          `json:"conditioning,omitempty"`
	Backend        string          `json:"backend"`
	Runner         string          `json:"runner"`
	Out            string          `json:"out"`
	Batches        int64           `json:"batches,omitempty"` // where the number of stitches is given
	Configuration  json.RawMessage `json:"configuration"`
}

// PlanAugment checks the settings, the data's schema and the models, and says
// what Augment would do. It writes nothing.
func PlanAugment(o AugmentOptions) (AugmentPlan, error) {
	run, err := checked(o)
	if err != nil {
		return AugmentPlan{}, err
	}
	configuration, err := json.Marshal(run.options)
	if err != nil {
		return AugmentPlan{}, fmt.Errorf("pipelines: %w", err)
	}
	batch := int64(run.options.Batch)
	return AugmentPlan{
		Files:          run.input.Files,
		ObservationDim: run.shape.ObservationDim,
		ActionDim:      run.shape.ActionDim,
		Horizon:        run.models.Horizon,
		Conditioning:   run.models.Conditioning,
		Backend:        run.engine.Description,
		Runner:         o.Runner,
		Out:            o.Out,
		Batches:        (o.Stitches + batch - 1) / batch,
		Configuration:  configuration,
	}, nil
}

// largestBatch is as large a batch as is tried: batches are also what is retried
// and what work is divided by.
const largestBatch = 1024

// ChooseBatch measures, with the run's own models on this machine's device, in which
// batches the sampler completes most windows a second without wasting memory.
// AugmentOptions.Batch is ignored; the last of what was measured is what it should
// be. D* depends on it.
func ChooseBatch(o AugmentOptions) ([]session.Throughput, error) {
	o.Batch = 1
	run, err := checked(o)
	if err != nil {
		return nil, err
	}
	most := int64(largestBatch)
	if o.Stitches > 0 {
		most = min(most, o.Stitches)
	}
	measured, err := session.ChooseBatch(run.session(), int(most))
	if err != nil {
		return nil, fmt.Errorf("pipelines: --batch auto measures on this machine; a number needs no device here: %w", err)
	}
	return measured, nil
}
