package inference

import (
	"context"
	"errors"
	"testing"

	"diffstitch/io/attempt"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/testing/fixture"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

func init() {
	register.DoFn2x1[context.Context, int, error](&callFn{})
}

func TestMain(m *testing.M) { fixture.Main(m) }

// callFn runs every model on so many rows, and the sampler on a ragged window.
type callFn struct{ Models }

func (fn *callFn) ProcessElement(ctx context.Context, rows int) error {
	info := fn.Info()
	states, actions := make([]float32, rows*info.ObservationDim), make([]float32, rows*info.ActionDim)
	if _, err := fn.InverseDynamics(ctx, states, states); err != nil {
		return err
	}
	if _, err := fn.Rewards(ctx, states, actions); err != nil {
		return err
	}
	if _, _, err := fn.Dynamics(ctx, states, actions); err != nil {
		return err
	}
	known, mask := make([]float32, rows*info.Horizon*info.ObservationDim), make([]float32, rows*info.Horizon)
	if _, err := fn.Sample(ctx, known, mask, make([]uint64, rows)); err != nil {
		return err
	}
	_, _ = fn.Sample(ctx, known[1:], mask, make([]uint64, rows)) // fails, and is counted
	return nil
}

// measured runs callFn on two bundles' worth of rows, and gives the sums of counters
// and distributions, and how often the latter were updated.
func measured(t *testing.T) (sums, updates map[string]int64) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	opts := fixture.Models(t)
	opts.Batch = 6 // no other test's, so that Setup has something to load
	beam.ParDo0(s, &callFn{Models{Options: opts}}, beam.Create(s, 5, 2))
	result, err := ptest.RunWithMetrics(p)
	if err != nil {
		t.Fatal(err)
	}
	sums, updates = map[string]int64{}, map[string]int64{}
	all := result.Metrics().AllMetrics()
	for _, c := range all.Counters() {
		sums[c.Key.Namespace+"/"+c.Key.Name] += c.Result()
	}
	for _, d := range all.Distributions() {
		sums[d.Key.Namespace+"/"+d.Key.Name] += d.Result().Sum
		updates[d.Key.Namespace+"/"+d.Key.Name] += d.Result().Count
	}
	return sums, updates
}

// TestTroubleOfTheDevice is told apart from trouble with what the models were given.
func TestTroubleOfTheDevice(t *testing.T) {
	m := fixture.SetUp(t, &Models{Options: fixture.Models(t)})
	for _, cause := range []error{session.ErrUnavailable, errors.New("ragged")} {
		err := m.call(t.Context(), training.Denoiser, 1, 1, func() error { return cause })
		if !errors.Is(err, cause) || errors.Is(err, attempt.ErrWorker) != (cause == session.ErrUnavailable) {
			t.Errorf("%v comes back as %v", cause, err)
		}
	}
	m.Options.Hashes[2] = "another"
	if err := m.Setup(); !errors.Is(err, session.ErrReplaced) {
		t.Errorf("other models than the run's: %v", err)
	}
}

func TestMetricsArrive(t *testing.T) {
	sums, updates := measured(t)
	const rows, calls, loads = 7, 2, 1
	states, actions := int64(4*fixture.Walks.ObservationDim), int64(4*fixture.Walks.ActionDim)
	for kind, rowBytes := range map[training.Kind]int64{
		training.Denoiser:        fixture.Horizon*(states+4) + 8,
		training.InverseDynamics: 2 * states,
		training.Reward:          states + actions,
		training.Dynamics:        states + actions,
	} {
		namespace := "inference." + string(kind) + "/"
		check := func(what string, got map[string]int64, want map[string]int64) {
			for name, value := range want {
				if got[namespace+name] != value {
					t.Errorf("%s%s: %s %d, want %d", namespace, name, what, got[namespace+name], value)
				}
			}
		}
		check("sum", sums, map[string]int64{
			"num_inferences": rows, "inference_request_batch_size": rows, "inference_request_batch_byte_size": rows * rowBytes,
		})
		check("updates", updates, map[string]int64{
			"inference_request_batch_size": calls, "inference_request_batch_byte_size": calls, "inference_batch_latency_micro_secs": calls,
			"load_model_latency_milli_secs": loads, "model_byte_size": loads,
		})
		if sums[namespace+"model_byte_size"] == 0 {
			t.Errorf("the %s model weighs nothing", kind)
		}
	}
	if failed := sums["inference.denoiser/failed_batches_counter"]; failed != 2 {
		t.Errorf("%d failed batches, want 2", failed)
	}
}
