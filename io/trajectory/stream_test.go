package trajectory

import (
	"testing"

	"pgregory.net/rapid"
)

// drawn is what a stream is asked for: its arguments.
type drawn struct {
	seed  uint64
	index int64
	stage Stage
}

func draw(t *rapid.T, name string) drawn {
	// Near each other, as they are in a run: streams must differ all the same.
	return drawn{
		seed:  rapid.Uint64Range(0, 3).Draw(t, name+" seed"),
		index: rapid.Int64Range(0, 3).Draw(t, name+" index"),
		stage: Stage(rapid.Uint64Range(uint64(StagePair), uint64(StageInpaint)).Draw(t, name+" stage")),
	}
}

func (d drawn) values() (values [4]uint64) {
	rng := Stream(d.seed, d.index, d.stage)
	for i := range values {
		values[i] = rng.Uint64()
	}
	return values
}

func TestStreamsDependOnTheirArgumentsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "one"), draw(t, "other")
		if again := a.values(); again != a.values() {
			t.Fatalf("%+v gives two streams", a)
		}
		same := StreamSeed(a.seed, a.index, a.stage) == StreamSeed(b.seed, b.index, b.stage)
		if same != (a == b) || (a.values() == b.values()) != (a == b) {
			t.Fatalf("%+v and %+v give equal streams: %v", a, b, same)
		}
	})
}

func TestStreamSeedsOfARunDiffer(t *testing.T) {
	seen := map[uint64]bool{}
	const pairs = 10_000
	for index := range int64(pairs) {
		for stage := StagePair; stage <= StageInpaint; stage++ {
			seen[StreamSeed(7, index, stage)] = true
		}
	}
	if want := pairs * int(StageInpaint); len(seen) != want {
		t.Errorf("%d different seeds of %d streams", len(seen), want)
	}
}
