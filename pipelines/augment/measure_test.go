package augment_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffstitch/io/datasetio"
	"diffstitch/pipelines/augment"
	"diffstitch/transforms/pair"
)

func TestMeasureAugment(t *testing.T) {
	o := augmenting(t)
	o.Pairing = pair.Reference
	a, err := augment.Measure(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(world.data)
	if err != nil {
		t.Fatal(err)
	}
	if a.Files != 1 || a.Bytes != info.Size() || a.Episodes != 40 || a.Pairs != 40 || a.Batches != 3 || a.Partitions != 3 || a.FirstRound {
		t.Errorf("amounts %+v", a)
	}
	if a.LowEpisodes == 0 || a.HighEpisodes == 0 || a.LowEpisodes+a.HighEpisodes > 40 {
		t.Errorf("%d low and %d high of 40 episodes", a.LowEpisodes, a.HighEpisodes)
	}
	if a.LowEnds.States != 40 || a.Candidates.States != 32*64 || a.HighPool.States > a.Transitions {
		t.Errorf("states left %+v, candidates %+v, entries %+v", a.LowEnds, a.Candidates, a.HighPool)
	}
	for _, w := range []datasetio.Weight{a.LowEnds, a.Candidates, a.HighPool} {
		if w.Windows == 0 || w.Bytes == 0 {
			t.Errorf("nothing is fetched: %+v", a)
		}
	}
	o.Pairing = pair.Crossings
	if a, err := augment.Measure(t.Context(), o, nil); err != nil || a.Crossings != 40 || a.LowEnds.States != 40 || a.Batches != 3 {
		t.Errorf("amounts of crossings %+v: %v", a, err)
	}
	if _, err := os.Stat(filepath.Join(o.Out, "CURRENT")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was published: %v", err)
	}
	staging, err := os.ReadDir(filepath.Join(o.Out, ".staging"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range staging {
		if e.IsDir() || strings.HasSuffix(e.Name(), ".jsonl") {
			t.Errorf("%s is left in the staging", e.Name())
		}
	}
	o.Stitches, o.Transitions = 0, 1000
	if a, err := augment.Measure(t.Context(), o, nil); err != nil || a.Pairs != 32 || !a.FirstRound {
		t.Errorf("amounts %+v: %v", a, err)
	}
}
