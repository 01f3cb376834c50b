package train_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/train"
)

// add generates a file of episodes in the folder of another.
func add(t *testing.T, beside, name string) {
	t.Helper()
	out := filepath.Join(filepath.Dir(beside), name)
	if _, err := exchange.GeneratePointMaze(t.Context(), exchange.GenerateOptions{Out: out, Episodes: 10, Seed: 6}); err != nil {
		t.Fatal(err)
	}
}

func models(t *testing.T, o train.Options) session.Info {
	t.Helper()
	info, err := train.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestFrom: what follows the data that models learned from is learned by going on from
// them, with their configuration and seed.
func TestFrom(t *testing.T) {
	o := options(t)
	o.Steps = 4
	first := models(t, o)
	data := o.Data.Path
	o.Data.Path, o.From, o.Methods, o.Preset = filepath.Dir(data), o.Models, nil, ""
	next := func(name string) session.Info {
		o.Models = filepath.Join(t.TempDir(), name)
		return models(t, o)
	}
	o.Seed, o.Steps = 99, 3 // the steps count in a warm training alone
	add(t, data, "n.parquet")
	warm, warmDir := next("warm"), o.Models
	for kind, m := range warm.Models {
		was := first.Models[kind]
		if m.Identity.Initial != was.Hash || m.Identity.WarmSteps != 3 || m.Identity.Seed != 2 || !slices.Equal(m.Details.Learned, []int{40, 50}) {
			t.Errorf("the %s model is of %+v, and knew %v", kind, m.Identity, m.Details.Learned)
		}
		if string(m.Identity.Config) != string(was.Identity.Config) {
			t.Errorf("the configuration of the %s model is %s", kind, m.Identity.Config)
		}
	}
	if len(warm.Models) != len(first.Models) {
		t.Errorf("%d models follow %d", len(warm.Models), len(first.Models))
	}
	add(t, data, "a.parquet") // which comes before what they learned from
	for kind, m := range next("cold").Models {
		if m.Identity.Initial != "" || m.Identity.Seed != 2 || m.Details.Learned != nil || string(m.Identity.Config) != string(first.Models[kind].Identity.Config) {
			t.Errorf("the %s model is of %+v, and knew %v", kind, m.Identity, m.Details.Learned)
		}
	}
	if err := os.Remove(filepath.Join(o.Data.Path, "a.parquet")); err != nil {
		t.Fatal(err)
	}
	add(t, data, "o.parquet")
	o.From, o.Steps = filepath.Join(filepath.Dir(o.Models), "nothing"), 0
	if _, err := train.Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "run `diffstitch train` first") {
		t.Errorf("from nothing: %v", err)
	}
	o.From = warmDir
	if got := next("third").Models[training.Reward].Details.Learned; !slices.Equal(got, []int{40, 50, 60}) {
		t.Errorf("the third training knew %v", got)
	}
}
