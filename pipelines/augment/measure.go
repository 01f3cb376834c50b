package augment

import (
	"context"
	"errors"

	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/observe"
)

// Measure reads, ranks and plans as Run does, says how much there is to do, and
// publishes nothing.
func Measure(ctx context.Context, o Options, progress func(observe.Progress)) (amounts method.Amounts, err error) {
	r, err := begin(ctx, o, progress)
	if err != nil {
		return amounts, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.read(ctx); err != nil {
		return amounts, err
	}
	if err := r.survey(ctx); err != nil {
		return amounts, err
	}
	count, err := r.firstCount()
	if err != nil {
		return amounts, err
	}
	amounts = r.amounts(count)
	r.method.Measure(&r.work, count, &amounts)
	return amounts, nil
}

func (r *run) amounts(count int64) method.Amounts {
	a := method.Amounts{
		Files:       len(r.files),
		Episodes:    int64(len(r.work.Metas)),
		Rejected:    int64(len(r.rejects)),
		Transitions: originalRows(r.work.Metas),
		Pairs:       count,
		FirstRound:  r.options.Stitches == 0,
	}
	if a.FirstRound {
		a.Wanted = r.wanted()
	}
	for _, f := range r.files {
		a.Bytes += f.Bytes
	}
	return a
}
