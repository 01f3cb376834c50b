package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/env"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/evaluate/truth"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// Gates are what a snapshot must be like to be published.
type Gates struct {
	// MinAcceptance is the share of the attempts that must be accepted.
	MinAcceptance float64 `json:"min_acceptance"`
	// MinTruth is the share of the generated episodes that a simulator must find true in
	// every transition.
	MinTruth float64 `json:"min_truth,omitempty"`
	// Tolerance is the share by which a figure may be worse than that of the snapshot that
	// is current, and the rows fewer or more, where both are of one configuration.
	Tolerance float64 `json:"tolerance"`

	// Env is the environment whose simulator judges; "" of none.
	Env        string      `json:"env,omitempty"`
	EnvOptions env.Options `json:"env_options,omitempty"`
	Python     string      `json:"-"`
}

// DefaultGates are those that flags change.
func DefaultGates() Gates { return Gates{MinAcceptance: 0.05, Tolerance: 0.5} }

func (g Gates) validate() error {
	switch {
	case !(g.MinAcceptance >= 0 && g.MinAcceptance <= 1):
		return fmt.Errorf("--min-acceptance %g is not in [0, 1]", g.MinAcceptance)
	case !(g.MinTruth >= 0 && g.MinTruth <= 1):
		return fmt.Errorf("--min-truth %g is not in [0, 1]", g.MinTruth)
	case !(g.Tolerance >= 0 && g.Tolerance < 1):
		return fmt.Errorf("--tolerance %g is not in [0, 1)", g.Tolerance)
	case g.MinTruth > 0 && g.Env == "":
		return errors.New("--min-truth: give the environment that judges by --env")
	case len(g.EnvOptions) > 0 && g.Env == "":
		return errors.New("--env-option: give the environment by --env")
	}
	return nil
}

// judge has the simulator, where there is one, replay what was generated, and leaves in
// found what share of the episodes is true.
func (g Gates) judge(ctx context.Context, seed uint64, found **float64) augment.Judge {
	if g.Env == "" {
		return nil
	}
	return func(made augment.Judged) (*augment.Verdict, error) {
		t, err := truth.Judge(ctx, truth.Options{
			Data: input.Data{Path: made.Data}, Env: g.Env, EnvOptions: g.EnvOptions, Python: g.Python, Seed: seed,
		}, nil)
		if errors.Is(err, failure.ErrData) { // there is nothing generated
			*found = new(float64)
			return &augment.Verdict{}, nil
		}
		if err != nil {
			return nil, err
		}
		*found = new(wholly(t))
		return &augment.Verdict{Truth: t.Report()}, nil
	}
}

// wholly is the share of the generated episodes that are true in every transition.
func wholly(t truth.Truth) float64 {
	var count, whole float64
	for _, of := range t.Generated {
		if e := of.Episodes; e != nil {
			count += float64(e.Count)
			whole += e.True * float64(e.Count)
		}
	}
	return whole / max(1, count)
}

// check holds a manifest to the gates, and to that of the last snapshot, if that is of the
// same configuration, else nil.
func (g Gates) check(m, last *snapshot.Manifest) error {
	var wrong []string
	refuse := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	q := m.Quality
	if q.Acceptance < g.MinAcceptance {
		refuse("acceptance: %.4g of the attempts were accepted, and --min-acceptance asks for %.4g", q.Acceptance, g.MinAcceptance)
	}
	if q.Truth != nil && *q.Truth < g.MinTruth {
		refuse("truth: %.4g of the generated episodes are true in every transition, and --min-truth asks for %.4g", *q.Truth, g.MinTruth)
	}
	if last != nil {
		wrong = append(wrong, g.against(m, last)...)
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", failure.ErrRefused, strings.Join(wrong, "; "))
}

// against says in which figures a manifest is too much worse than the last one.
func (g Gates) against(m, last *snapshot.Manifest) (wrong []string) {
	was, is := cmp.Or(last.Quality, &snapshot.Quality{}), m.Quality
	least := 1 - g.Tolerance
	refuse := func(what string, is, bound, was float64) {
		wrong = append(wrong, fmt.Sprintf("%s: %.4g; within --tolerance %g of the %.4g of the last snapshot %s, it would be %.4g", what, is, g.Tolerance, was, last.ID, bound))
	}
	if bound := least * was.Acceptance; is.Acceptance < bound {
		refuse("acceptance", is.Acceptance, bound, was.Acceptance)
	}
	for _, figure := range []struct {
		name    string
		is, was *float64
	}{{"marginal score", is.Marginals, was.Marginals}, {"truth", is.Truth, was.Truth}} {
		if figure.is != nil && figure.was != nil && *figure.is < least**figure.was {
			refuse(figure.name, *figure.is, least**figure.was, *figure.was)
		}
	}
	if is.Error != nil && was.Error != nil && *is.Error > *was.Error/least {
		refuse("qualification error", *is.Error, *was.Error/least, *was.Error)
	}
	for _, rows := range []struct {
		name    string
		is, was int64
	}{{"original transitions", m.Original.Transitions, last.Original.Transitions}, {"generated transitions", m.Generated, last.Generated}} {
		is, was := float64(rows.is), float64(rows.was)
		switch {
		case is < least*was:
			refuse(rows.name, is, least*was, was)
		case is > was/least && was > 0:
			refuse(rows.name, is, was/least, was)
		}
	}
	return wrong
}
