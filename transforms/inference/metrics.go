package inference

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"diffstitch/io/attempt"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// modelMetrics are a model's, under the names of Beam's RunInference. Only the last
// is not one of its.
type modelMetrics struct {
	inferences  beam.Counter      // rows
	batchSize   beam.Distribution // rows per call
	batchBytes  beam.Distribution // of the input
	latency     beam.Distribution // on the device, without waiting for it
	loadLatency beam.Distribution // reading, compiling and the first run
	modelBytes  beam.Distribution // of the weights
	failures    beam.Counter      // calls that failed
	halvings    beam.Counter      // how often a batch was halved for lack of memory
}

var metrics = func() map[training.Kind]modelMetrics {
	all := map[training.Kind]modelMetrics{}
	for _, kind := range training.Kinds {
		namespace := "inference." + string(kind)
		all[kind] = modelMetrics{
			inferences:  beam.NewCounter(namespace, "num_inferences"),
			batchSize:   beam.NewDistribution(namespace, "inference_request_batch_size"),
			batchBytes:  beam.NewDistribution(namespace, "inference_request_batch_byte_size"),
			latency:     beam.NewDistribution(namespace, "inference_batch_latency_micro_secs"),
			loadLatency: beam.NewDistribution(namespace, "load_model_latency_milli_secs"),
			modelBytes:  beam.NewDistribution(namespace, "model_byte_size"),
			failures:    beam.NewCounter(namespace, "failed_batches_counter"),
			halvings:    beam.NewCounter(namespace, "out_of_memory_halvings"),
		}
	}
	return all
}()

// call runs a model on so many rows, and counts what became of it. What Setup
// loaded is counted here too: metrics belong to a bundle, Setup to none.
func (m *Models) call(ctx context.Context, kind training.Kind, rows int, bytes int64, run func() error) error {
	err := run()
	account := m.session.Take()
	for _, load := range account.Loads {
		metrics[load.Kind].loadLatency.Update(ctx, load.Took.Milliseconds())
		metrics[load.Kind].modelBytes.Update(ctx, load.Bytes)
	}
	if account.Halvings > 0 {
		metrics[m.sampler()].halvings.Inc(ctx, int64(account.Halvings))
	}
	own := metrics[kind]
	if err != nil {
		own.failures.Inc(ctx, 1)
		if errors.Is(err, session.ErrUnavailable) { // which is no fault of the batch
			return fmt.Errorf("%w: %w", attempt.ErrWorker, err)
		}
		return err
	}
	own.inferences.Inc(ctx, int64(rows))
	own.batchSize.Update(ctx, int64(rows))
	own.batchBytes.Update(ctx, bytes)
	own.latency.Update(ctx, account.Busy.Microseconds())
	return nil
}

// sampler is the model of the session whose batches can be halved.
func (m *Models) sampler() training.Kind {
	if slices.Contains(m.session.Info().Kinds, training.SynthER) {
		return training.SynthER
	}
	return training.Denoiser
}
