package session

import (
	"errors"
	"log/slog"
	"sync/atomic"
)

// portion is how much of a batch one run of a sampler's graph is for: all of it,
// or a half, a quarter … once the device lacked the memory for more.
type portion struct {
	batch int // rows whose noise is drawn together
	rows  atomic.Int64
	fail  func(rows int) error // nil but in tests, where it may fail in place of a run of the graph

	halvingsAtLoad int
}

func (p *portion) begin(batch int) {
	p.batch, p.fail = batch, scarceMemory()
	p.rows.Store(int64(batch))
}

// scarce fails where a test wants a run of so many rows to.
func (p *portion) scarce(rows int) error {
	if p.fail == nil {
		return nil
	}
	return p.fail(rows)
}

// warm prepares runs of as many rows as there is memory for.
func (p *portion) warm(prepare func(rows int) error) (err error) {
	_, p.halvingsAtLoad, err = p.fitting(func(rows int) ([]float32, error) { return nil, prepare(rows) })
	return err
}

// batches runs n rows a batch at a time, each with as many rows of the graph as there
// is memory for.
func (p *portion) batches(n int, run func(from, to, rows int) ([]float32, error)) (values []float32, halvings int, err error) {
	for from := 0; from < n; from += p.batch {
		to := min(from+p.batch, n)
		batch, halved, err := p.fitting(func(rows int) ([]float32, error) { return run(from, to, rows) })
		halvings += halved
		if err != nil {
			return nil, halvings, err
		}
		values = append(values, batch...)
	}
	return values, halvings, nil
}

// fitting calls run with as many rows as the device has memory for, which it finds
// by halving, and from then on starts with.
func (p *portion) fitting(run func(rows int) ([]float32, error)) (values []float32, halvings int, err error) {
	for {
		rows := p.rows.Load()
		values, err := run(int(rows))
		if !errors.Is(err, ErrOutOfMemory) || rows == 1 {
			return values, halvings, err
		}
		half := (rows + 1) / 2
		if p.rows.CompareAndSwap(rows, half) { // else another call has halved it
			halvings++
			slog.Warn("the device lacks the memory for a batch: it is sampled in parts, which is slower and gives the same up to rounding",
				"batch", p.batch, "part", half, "error", err)
		}
	}
}
