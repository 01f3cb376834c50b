package method

import (
	"math"
	"testing"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
)

// TestSettled: δ is the lesser of the judges' error on real stretches and what few wrong
// actions change over √2, unless a quantile or a value is asked for.
func TestSettled(t *testing.T) {
	even := func(most float32) training.ErrorQuantiles { // from 0 to most
		return training.ErrorQuantiles{Raw: []float32{0, most}, Normalized: []float32{0, most / 2}}
	}
	models := func(stretch float32, effect *training.ErrorQuantiles) session.Info {
		return session.Info{StretchError: even(stretch), Models: map[training.Kind]session.Model{
			training.Dynamics: {Identity: checkpoint.Identity{}, Details: training.Details{ActionEffect: effect}},
		}}
	}
	effect, none := even(20*math.Sqrt2), even(0) // one in twenty changes √2
	normalised, quantile := AutoDelta(), Delta{Quantile: 0.5}
	normalised.Normalised = true
	for _, test := range []struct {
		delta  Delta
		models session.Info
		want   Delta
	}{
		{AutoDelta(), models(100, &effect), Delta{Value: 1, WrongActions: 0.05}},
		{AutoDelta(), models(1, &effect), Delta{Value: 0.99, Quantile: 0.99}},
		{AutoDelta(), models(100, nil), Delta{Value: 99, Quantile: 0.99}},
		{AutoDelta(), models(100, &none), Delta{Value: 99, Quantile: 0.99}},
		{normalised, models(100, &effect), Delta{Value: 0.5, WrongActions: 0.05, Normalised: true}},
		{quantile, models(100, &effect), Delta{Value: 50, Quantile: 0.5}},
		{Delta{Value: 3}, models(100, &effect), Delta{Value: 3}},
		{Delta{Off: true}, models(100, &effect), Delta{Off: true}},
	} {
		got := test.delta.settled(test.models)
		got.Value = float64(float32(got.Value))
		test.want.Value = float64(float32(test.want.Value))
		if got != test.want {
			t.Errorf("%+v is settled as %+v, want %+v", test.delta, got, test.want)
		}
	}
}
