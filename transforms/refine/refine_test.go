package refine

import (
	"testing"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// bridges are one along a walk, and one that leaps farther than any action leads.
func bridges() trajectory.BridgeBatch {
	walk := fixture.LongestWalk()
	leap := []float32{0, 0, 0, 500, -500, 500, -500, 500, -500}
	return trajectory.BridgeBatch{Index: 4, Bridges: []trajectory.Bridge{
		{Pair: trajectory.Pair{Index: 8, Steps: 2}, States: walk.Observations[:4*3]},
		{Pair: trajectory.Pair{Index: 10, Steps: 1}, States: leap},
	}}
}

func TestBridges(t *testing.T) {
	models := fixture.Models(t)
	models.Refine = true
	refiner, err := session.Shared(models)
	if err != nil {
		t.Fatal(err)
	}
	in, want := bridges(), bridges()
	made, err := refiner.Refine([][]float32{in.Bridges[0].States, in.Bridges[1].States})
	if err != nil {
		t.Fatal(err)
	}
	longer := false
	for i := range want.Bridges {
		b, r := &want.Bridges[i], made[i]
		b.States, b.Actions, b.Residuals = r.States, r.Actions, r.Residuals
		b.Pair.Steps += int32(r.Extra)
		longer = longer || r.Extra > 0
		if b.Rewards, err = refiner.Rewards(b.States[:len(b.States)-3], b.Actions); err != nil {
			t.Fatal(err)
		}
	}
	if !longer {
		t.Fatal("no bridge had to be longer than it was")
	}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		passert.Equals(s, fixture.NoneDead(s)(Bridges(s, models, beam.Create(s, in))), want)
	})
}
