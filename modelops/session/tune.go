package session

import (
	"errors"
	"fmt"
	"path/filepath"
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

// Throughput is how many windows a second the sampler completes in batches of a
// size.
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
	saved, _, weights, err := checkpoint.Open(filepath.Join(s.options.Dir, string(training.Denoiser)))
	if err != nil {
		return nil, fmt.Errorf("session: %w: %w", ErrUnavailable, err)
	}
	measured, err := grow(most, func(batch int) (float64, error) {
		k := s.key
		k.batch = batch
		sampler, err := newSampler(k, saved, weights)
		if err != nil {
			return 0, err
		}
		defer sampler.finalize()
		return sampler.throughput()
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

// throughput runs whole batches and takes the fastest.
func (s *sampler) throughput() (perSecond float64, err error) {
	if err := s.prepare(s.batch); err != nil {
		return 0, err
	}
	w := s.blank(s.batch)
	for begin := time.Now(); perSecond == 0 || time.Since(begin) < measureFor; {
		start := time.Now()
		if _, err := s.inParts(w, s.batch); err != nil {
			return 0, err
		}
		perSecond = max(perSecond, float64(s.batch)/time.Since(start).Seconds())
	}
	return perSecond, nil
}
