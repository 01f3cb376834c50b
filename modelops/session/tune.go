package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training"
)

const (
	firstBatch = 16
	leastGain  = 1.1 // of a batch twice as large, for it to be worth its memory
	// A batch size is measured until so much time is spent, but once at least.
	measureFor = time.Second
)

// Throughput is how many windows, or transitions, the sampler completes per second in
// batches of a size.
type Throughput struct {
	Batch     int
	PerSecond float64
}

// ChooseBatch measures the sampler of the options in batches of 16, 32, 64 … up to
// most, on this process's device, until a larger one is hardly faster or does not
// fit there. The last it returns is the size to take. Options.Batch is ignored.
func ChooseBatch(opts Options, most int) ([]Throughput, error) {
	opts.Batch = firstBatch
	s, err := newSession(opts)
	if err != nil {
		return nil, fmt.Errorf("session: %w: %w", ErrUnavailable, err)
	}
	forget(s.key.engine)
	kind, err := s.sampled()
	if err != nil {
		return nil, err
	}
	saved, _, weights, err := checkpoint.Open(checkpoint.Join(s.options.Dir, string(kind)))
	if err != nil {
		return nil, fmt.Errorf("session: %w: %w", ErrUnavailable, err)
	}
	measured, err := grow(most, func(batch int) (float64, error) {
		k := s.key
		k.batch = batch
		sampler, err := newMeasured(k, kind, saved, weights)
		if err != nil {
			return 0, err
		}
		defer sampler.Finalize()
		return throughput(sampler, batch)
	})
	if err != nil {
		return nil, fmt.Errorf("session: %w: measuring batch sizes: %w", ErrUnavailable, err)
	}
	return measured, nil
}

// grow doubles the batch while that pays and there is memory, and halves the first
// one while there is too little. The chosen size comes last.
func grow(most int, measure func(batch int) (perSecond float64, err error)) ([]Throughput, error) {
	var fits []Throughput
	for batch := min(firstBatch, most); batch <= most; {
		rate, err := measure(batch)
		switch {
		case errors.Is(err, ErrOutOfMemory) && len(fits) > 0:
			return fits, nil
		case errors.Is(err, ErrOutOfMemory) && batch > 1:
			batch /= 2
			most = batch
			continue
		case err != nil:
			return nil, err
		case len(fits) > 0 && rate < leastGain*fits[len(fits)-1].PerSecond:
			return fits, nil
		}
		fits = append(fits, Throughput{batch, rate})
		batch *= 2
	}
	return fits, nil
}

// measured is a sampler whose batches are timed.
type measured interface {
	prepare(rows int) error
	runBatch() error
	Finalize()
}

func newMeasured(k key, kind training.Kind, saved checkpoint.Model, weights []checkpoint.Tensor) (measured, error) {
	if kind == training.SynthER {
		return newSynthesizer(k, saved, weights)
	}
	return newSampler(k, saved, weights)
}

// sampled is the model whose sampler takes the time.
func (s *Session) sampled() (training.Kind, error) {
	for _, kind := range []training.Kind{training.Denoiser, training.SynthER} {
		if slices.Contains(s.info.Kinds, kind) {
			return kind, nil
		}
	}
	return "", fmt.Errorf("session: none of %v is a sampler, whose batches could be measured", s.info.Kinds)
}

// throughput runs whole batches and takes the fastest.
func throughput(sampler measured, batch int) (perSecond float64, err error) {
	if err := sampler.prepare(batch); err != nil {
		return 0, err
	}
	for begin := time.Now(); perSecond == 0 || time.Since(begin) < measureFor; {
		start := time.Now()
		if err := sampler.runBatch(); err != nil {
			return 0, err
		}
		perSecond = max(perSecond, float64(batch)/time.Since(start).Seconds())
	}
	return perSecond, nil
}
