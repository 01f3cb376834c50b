package faults

import (
	"math/rand/v2"
	"testing"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/testing/fixture"
)

func streamArgs(data, out string, more ...string) []string {
	return append([]string{
		"stream", "--data", data, "--models", world.models, "--out", out, "--window", "1s", "--poll", "50ms",
		"--batch", "8", "--candidates", "64", "--sampler-steps", "4", "--delta", "off", "--refine", "off", "--backend", "go", "--seed", "7",
	}, more...)
}

// TestKillTheStream kills streams at random points while files keep arriving. Whatever is
// published is whole throughout, and when the last stream has ended D* has each row that
// came, once.
func TestKillTheStream(t *testing.T) {
	setup(t)
	onStorages(t, func(t *testing.T, root string, kills int) {
		l, rng := newTally(t), rand.New(rand.NewPCG(4, 4))
		data, out := storage.Join(root, "data"), storage.Join(root, "out")
		every := 300 * time.Millisecond * time.Duration(1+kills/5) // as much in all, or the last stream would take long
		f := fixture.StartFeed(t, data, every, 4)
		reader := read(t, out)
		for ; l.faults < kills && l.runs < 2*kills; l.runs++ {
			if killed(t, moment(rng, 6*time.Second), streamArgs(data, out)...) {
				l.faults++
			}
		}
		files := f.End()
		must(t, diffstitch(t, "", streamArgs(data, out, "--until-idle", "2s")...))
		l.runs++
		reader.end(l)
		l.lost, l.doubled = f.Check(t, out)
		s, err := snapshot.Current(out)
		if err != nil || len(s.Manifest.Inputs) != files {
			t.Errorf("%d of %d files are published (%v)", len(s.Manifest.Inputs), files, err)
		}
		if l.faults < kills {
			t.Errorf("%d of %d kills hit a stream", l.faults, kills)
		}
		must(t, command(t, world.binary, "clean", "--out", out))
		must(t, command(t, world.binary, "snapshots", "verify", "--out", out))
	})
}
