package refresh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"diffstitch/io/snapshot"
	"diffstitch/modelops/checkpoint"
	"diffstitch/pipelines/augment"
	"diffstitch/pipelines/version"
)

// Plan says what a refresh would do.
type Plan struct {
	// Current is the id of the snapshot that is current, "" of none.
	Current string `json:"current,omitempty"`
	// UpToDate is whether there is nothing to do.
	UpToDate bool `json:"up_to_date"`
	// Why says what differs from what the snapshot was made of.
	Why     []string   `json:"why,omitempty"`
	Inputs  Inputs     `json:"inputs"`
	Retrain Retraining `json:"retrain"`

	Augment augment.Plan `json:"augment"`

	last snapshot.Snapshot // the current one, if there is one
}

// PlanOf looks at the inputs, the models and the current snapshot, and says what Run would
// do. It writes nothing.
func PlanOf(ctx context.Context, o Options) (p Plan, err error) {
	if err := o.settle(); err != nil {
		return p, err
	}
	if p.Augment, err = augment.PlanOf(o.Augment); err != nil {
		return p, err
	}
	if err := p.look(ctx, o); err != nil || p.UpToDate {
		return p, err
	}
	p.Retrain, err = o.decide(ctx, &p)
	return p, err
}

// look compares what there is now with what the current snapshot was made of.
func (p *Plan) look(ctx context.Context, o Options) error {
	now, err := fingerprints(ctx, p.Augment.Files)
	if err != nil {
		return err
	}
	settled, err := optionsOf(p.Augment.Configuration)
	if err != nil {
		return err
	}
	p.last, err = snapshot.Current(o.Augment.Out)
	if errors.Is(err, snapshot.ErrNoSnapshot) {
		p.Inputs, p.Why = compare(nil, "", now, settled.Data.Path), []string{"nothing is published yet"}
		return nil
	}
	if err != nil {
		return err
	}
	p.Current = p.last.ID
	return p.compare(now, settled, o.Full)
}

// compare fills in how what a snapshot would be made of differs from what the current one
// was made of.
func (p *Plan) compare(now []snapshot.Input, settled augment.Options, full bool) error {
	m := p.last.Manifest
	before, err := optionsOf(m.Configuration)
	if err != nil {
		return err
	}
	p.Inputs = compare(m.Inputs, before.Data.Path, now, settled.Data.Path)
	if !p.Inputs.same() {
		p.Why = append(p.Why, "inputs: "+p.Inputs.words())
	}
	same := slices.Equal(m.Models, p.Augment.Models)
	if d, err := difference(before, settled, same); err != nil {
		return err
	} else if d != "" {
		p.Why = append(p.Why, "configuration: "+d)
	}
	if !same {
		p.Why = append(p.Why, "models: others than those it was made with")
	}
	if m.Software != version.Software {
		p.Why = append(p.Why, fmt.Sprintf("software: %s against %s", m.Software, version.Software))
	}
	p.UpToDate = len(p.Why) == 0
	if full && p.UpToDate {
		p.UpToDate, p.Why = false, []string{"--full"}
	}
	return nil
}

// optionsOf reads a configuration that a manifest records.
func optionsOf(configuration json.RawMessage) (o augment.Options, err error) {
	if err := json.Unmarshal(configuration, &o); err != nil {
		return o, fmt.Errorf("refresh: reading the configuration: %w", err)
	}
	return o, nil
}

// difference names what two configurations disagree on, but for where the data and the
// models lie, which are told apart by their hashes, and, with other models, for a δ that
// was settled by them.
func difference(before, now augment.Options, sameModels bool) (string, error) {
	identity := func(o augment.Options) (checkpoint.Identity, error) {
		o.Data.Path, o.Models = "", ""
		if d := &o.Delta; !sameModels && (d.Quantile > 0 || d.WrongActions > 0) {
			d.Value, d.Quantile, d.WrongActions = 0, 0, 1
		}
		text, err := json.Marshal(o)
		return checkpoint.Identity{Config: text}, err
	}
	was, err := identity(before)
	if err != nil {
		return "", err
	}
	is, err := identity(now)
	if err != nil {
		return "", err
	}
	return was.Difference(is), nil
}

// shown is how many names of a kind a plan lists for a reader.
const shown = 20

// Text shows the plan to a reader.
func (p Plan) Text() string {
	text := &strings.Builder{}
	current := "none"
	if p.Current != "" {
		current = fmt.Sprintf("%s, of %d transitions", p.Current, p.last.Manifest.Rows())
	}
	fmt.Fprintf(text, "current   %s\ninputs    %s\n", current, p.Inputs.words())
	for _, kind := range []struct {
		name  string
		files []string
	}{{"new", p.Inputs.New}, {"changed", p.Inputs.Changed}, {"removed", p.Inputs.Removed}} {
		for _, file := range kind.files[:min(len(kind.files), shown)] {
			fmt.Fprintf(text, "  %-8s%s\n", kind.name, file)
		}
		if more := len(kind.files) - shown; more > 0 {
			fmt.Fprintf(text, "  %-8sand %d more\n", kind.name, more)
		}
	}
	if p.UpToDate {
		fmt.Fprintln(text, "nothing to do: the snapshot is up to date")
		return text.String()
	}
	fmt.Fprintf(text, "models    %s\nto do     D* is made anew: %s\n", p.Retrain.words(), strings.Join(p.Why, "; "))
	return text.String()
}
