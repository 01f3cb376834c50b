package augment

import (
	"encoding/json"
	"fmt"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/engine"
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
	Estimate       *Estimate        `json:"estimate,omitempty"`
}

// Estimate is what the attempts of a run would take on this machine, by what a batch of
// made-up stitches takes. Reading, planning and publishing come on top.
type Estimate struct {
	StitchesPerSecond float64 `json:"stitches_per_second"` // attempts, accepted or not
	LoadSeconds       float64 `json:"load_seconds"`        // loading and compiling the models, once in each process
	// Hours of the attempts, and what they cost at a price per hour; not there where it is
	// transitions that are asked for, since how many attempts these take is not known.
	Hours float64 `json:"hours,omitempty"`
	Cost  float64 `json:"cost,omitempty"`
}

// PlanOf checks the settings, the data's schema and the models, and says what Run
// would do. It writes nothing.
func PlanOf(o Options) (Plan, error) {
	r, err := open(o)
	if err != nil {
		return Plan{}, err
	}
	return r.plan(o), nil
}

// EstimateOf is PlanOf with an estimate, at a price per hour, which is measured with the
// run's own models on this machine's device. There is none where the workers are elsewhere,
// or the method makes no stitches.
func EstimateOf(o Options, price float64) (Plan, error) {
	r, err := open(o)
	if err != nil {
		return Plan{}, err
	}
	plan := r.plan(o)
	if engine.InProcess(o.Runner) && r.options.Method == training.MethodDiffStitch {
		plan.Estimate, err = r.estimate(price)
	}
	return plan, err
}

// plan is what was opened by the options as they were given.
func (r *run) plan(o Options) Plan {
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
	}
}

// estimate takes the time of a batch of stitches.
func (r *run) estimate(price float64) (*Estimate, error) {
	shortest, longest := r.work.Lengths()
	measured, err := session.Calibrate(r.work.Session, shortest, longest)
	if err != nil {
		return nil, fmt.Errorf("augment: %w", err)
	}
	e := &Estimate{
		StitchesPerSecond: float64(measured.Stitches) / measured.Batch.Seconds(),
		LoadSeconds:       measured.Load.Seconds(),
	}
	if attempts := float64(r.options.Stitches); attempts > 0 {
		e.Hours = (attempts/e.StitchesPerSecond + e.LoadSeconds) / 3600
		e.Cost = price * e.Hours
	}
	return e, nil
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
