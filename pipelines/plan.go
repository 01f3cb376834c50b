package pipelines

import (
	"encoding/json"
	"fmt"
)

// AugmentPlan says what an augmentation would do.
type AugmentPlan struct {
	Files          []string        `json:"files"`
	ObservationDim int             `json:"observation_dim"`
	ActionDim      int             `json:"action_dim"`
	Horizon        int             `json:"horizon"`
	Conditioning   string          `json:"conditioning"`
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
	batch := int64(o.Batch)
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
