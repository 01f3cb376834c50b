package augment

import (
	"encoding/json"
	"fmt"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/session"
)

// Plan says what an augmentation would do.
type Plan struct {
	Files          []string         `json:"files"`
	ObservationDim int              `json:"observation_dim"`
	ActionDim      int              `json:"action_dim"`
	Horizon        int              `json:"horizon,omitempty"`
	Conditioning   string           `json:"conditioning,omitempty"`
	Backend        string           `json:"backend"`
	Runner         string           `json:"runner"`
	Out            string           `json:"out"`
	Batches        int64            `json:"batches,omitempty"` // where the number of stitches is given
	Models         []snapshot.Model `json:"models"`
	Configuration  json.RawMessage  `json:"configuration"`
}

// PlanOf checks the settings, the data's schema and the models, and says what Run
// would do. It writes nothing.
func PlanOf(o Options) (Plan, error) {
	r, err := open(o)
	if err != nil {
		return Plan{}, err
	}
	batch := int64(r.options.Batch)
	return Plan{
		Files:          r.dataset.Input.Files,
		ObservationDim: r.dataset.Shape.ObservationDim,
		ActionDim:      r.dataset.Shape.ActionDim,
		Horizon:        r.work.Models.Horizon,
		Conditioning:   r.work.Models.Conditioning,
		Backend:        r.engine.Description,
		Runner:         o.Runner,
		Out:            o.Out,
		Batches:        (o.Stitches + batch - 1) / batch,
		Models:         r.work.ModelHashes(),
		Configuration:  r.configuration,
	}, nil
}

// largestBatch is as large a batch as is tried: batches are also what is retried
// and what work is divided by.
const largestBatch = 1024

// ChooseBatch measures, with the run's own models on this machine's device, in which
// batches the sampler completes most windows per second without wasting memory.
// Options.Batch is ignored; the last of what was measured is what it should be. D*
// depends on it.
func ChooseBatch(o Options) ([]session.Throughput, error) {
	o.Batch = 1
	r, err := open(o)
	if err != nil {
		return nil, err
	}
	most := int64(largestBatch)
	if o.Stitches > 0 {
		most = min(most, o.Stitches)
	}
	measured, err := session.ChooseBatch(r.work.Session, int(most))
	if err != nil {
		return nil, fmt.Errorf("augment: --batch auto measures on this machine; a number needs no device here: %w", err)
	}
	return measured, nil
}
