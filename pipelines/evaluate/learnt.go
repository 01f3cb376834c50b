package evaluate

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"diffstitch/io/storage"
	"diffstitch/modelops/backend"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/env"
	"diffstitch/modelops/learners"
	"diffstitch/pipelines/evaluate/environment"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/observe"
)

// learntFile is where an evaluation's folder says what its policies learnt from.
const learntFile = "learnt.json"

// learnt says what finished policies learnt from, so that they are taken up without
// reading it again.
type learnt struct {
	Policy    string     `json:"policy"` // hash of the policies
	Data      input.Data `json:"data"`
	Version   string     `json:"version"`   // of the data's files
	Augmented bool       `json:"augmented"` // whether any row is
}

// train trains the policies, unless the folder has them.
func (o Options) train(ctx context.Context, s env.Spec, progress *observe.Teller) error {
	engine, info, err := backend.Open(o.Backend)
	if err != nil {
		return err
	}
	if err := input.Absolute(&o.Data.Path); err != nil {
		return err
	}
	data, err := o.Data.Open()
	if err != nil {
		return err
	}
	if err := environment.Fits("the data has", data.Shape, s); err != nil {
		return err
	}
	from := learnt{Data: o.Data, Version: data.Input.Version()}
	from.Data.Verify = false // it is not recorded
	if done, err := o.learntFrom(from, info.Kind, s); done || err != nil {
		return err
	}
	rows, err := load(ctx, data, o.Learner)
	if err != nil {
		return err
	}
	from.Augmented = slices.Contains(rows.Augmented, true)
	cfg, err := o.config(s, from.Augmented)
	if err != nil {
		return err
	}
	result, err := learners.Train(ctx, engine, o.policies(), cfg, rows, telling(o.Learner, progress))
	if err != nil {
		return err
	}
	from.Policy = result.Hash
	return storage.WriteJSON(filepath.Join(o.Out, learntFile), from)
}

// learntFrom is whether the folder has the policies that would come of the data. That
// no file changed is taken from its size and the time of its last change: where those
// differ, training reads the data and compares what it holds.
func (o Options) learntFrom(data learnt, backendKind string, s env.Spec) (bool, error) {
	var before learnt
	text, err := os.ReadFile(filepath.Join(o.Out, learntFile))
	if err != nil || json.Unmarshal(text, &before) != nil {
		return false, nil // then training looks
	}
	m, hash, err := checkpoint.Describe(o.policies())
	data.Policy, data.Augmented = hash, before.Augmented
	if err != nil || !reflect.DeepEqual(data, before) {
		return false, nil
	}
	cfg, err := o.config(s, before.Augmented)
	if err != nil {
		return false, err
	}
	wanted := m.Identity
	wanted.Backend = backendKind
	if wanted.Config, err = json.Marshal(cfg); err != nil {
		return false, fmt.Errorf("evaluate: %w", err)
	}
	return m.Identity.Difference(wanted) == "", nil
}
