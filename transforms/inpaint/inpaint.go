// Package inpaint generates the states between the two ends of a stitch with
// the diffusion model (DiffStitch, section 4.1, state stitching): s_T, Δ hidden
// states, and the states of the high episode from s′_1 on go in; the hidden ones
// come out.
package inpaint

import (
	"context"
	"slices"

	"diffstitch/io/attempt"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/session"
	"diffstitch/transforms/inference"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

var (
	bridgesOut = beam.NewCounter("inpaint", "bridges")
	latency    = beam.NewDistribution("inpaint", "batch_milliseconds")
)

func init() {
	beam.RegisterDoFn(&bridgeFn{})
	register.Emitter1[trajectory.BridgeBatch]()
}

// Bridges inpaints a PCollection<trajectory.Contexts>. It gives a
// PCollection<trajectory.BridgeBatch> whose bridges hold states alone, and a
// PCollection<trajectory.Failure> of the batches that could not be inpainted.
func Bridges(s beam.Scope, models session.Options, seed uint64, contexts beam.PCollection) (bridges, dead beam.PCollection) {
	s = s.Scope("inpaint.Bridges")
	return beam.ParDo2(s, &bridgeFn{Models: inference.Models{Options: models}, Seed: seed}, contexts)
}

type bridgeFn struct {
	inference.Models
	Seed uint64 `json:"seed"`
}

func (fn *bridgeFn) ProcessElement(ctx context.Context, c trajectory.Contexts, emit func(trajectory.BridgeBatch), dead func(trajectory.Failure)) error {
	defer inference.Clock(ctx, latency)()
	bridgesOut.Inc(ctx, int64(len(c.Batch.Pairs)))
	work := func() (trajectory.BridgeBatch, error) { return fn.inpaint(ctx, c) }
	return attempt.Batch(ctx, "inpaint", c.Batch.Span(), work, emit, dead)
}

func (fn *bridgeFn) inpaint(ctx context.Context, c trajectory.Contexts) (trajectory.BridgeBatch, error) {
	info := fn.Info()
	seeds := make([]uint64, len(c.Batch.Pairs))
	for i, pair := range c.Batch.Pairs {
		seeds[i] = trajectory.StreamSeed(fn.Seed, pair.Index, trajectory.StageInpaint)
	}
	states, err := fn.Sample(ctx, c.Known, pastTheEnd(c, info.Horizon), seeds)
	if err != nil {
		return trajectory.BridgeBatch{}, err
	}
	out := trajectory.BridgeBatch{Index: c.Batch.Index, Bridges: make([]trajectory.Bridge, len(c.Batch.Pairs))}
	for i, pair := range c.Batch.Pairs {
		window := states[i*info.Horizon*info.ObservationDim:]
		out.Bridges[i] = trajectory.Bridge{Pair: pair, States: slices.Clone(window[:(pair.BridgeRows()+1)*info.ObservationDim])}
	}
	return out, nil
}

// pastTheEnd is the mask with what lies past the end of each high episode marked, as it
// is in training.
//
//	result: [pairs, H]
func pastTheEnd(c trajectory.Contexts, horizon int) []float32 {
	mask := slices.Clone(c.Mask) // elements must not be changed
	for i, pair := range c.Batch.Pairs {
		states := int(pair.High.Episode.Steps - pair.High.Step)
		if pair.High.Episode.HasFinal {
			states++
		}
		window := mask[min(i*horizon, len(mask)):min((i+1)*horizon, len(mask))]
		for at := pair.BridgeRows() + states; at < len(window); at++ {
			window[at] = session.Past
		}
	}
	return mask
}
