package session

import (
	"math"
	"time"

	"diffstitch/modelops/random"
)

// Calibration is what one batch of stitches takes on this process's device.
type Calibration struct {
	Stitches int           // of the batch
	Load     time.Duration // of the models, compiling included
	Batch    time.Duration // once they are loaded
}

// Calibrate loads DiffStitch's models and takes the time of a batch of made-up stitches,
// from the windows to what qualification is judged by: bridges of so many transitions,
// between states as far apart as the data's are after as many steps.
func Calibrate(opts Options, shortest, longest int) (Calibration, error) {
	start := time.Now()
	s, err := Shared(opts)
	if err != nil {
		return Calibration{}, err
	}
	c := Calibration{Stitches: opts.Batch, Load: time.Since(start)}
	madeUp := s.makeUp(opts.Batch, shortest, longest)
	for range 2 { // of which the first may still have things to get ready
		start := time.Now()
		if err := s.stitch(madeUp); err != nil {
			return Calibration{}, err
		}
		c.Batch = time.Since(start)
	}
	return c, nil
}

// madeUp are windows with the two ends of a bridge in each.
type madeUp struct {
	known, mask []float32
	seeds       []uint64
	rows        []int // of each bridge: transitions from end to end
}

// makeUp makes windows whose ends are like the data's states.
func (s *Session) makeUp(n, shortest, longest int) madeUp {
	info := s.info
	horizon, dim := info.Horizon, info.ObservationDim
	w := madeUp{known: make([]float32, n*horizon*dim), mask: make([]float32, n*horizon), seeds: make([]uint64, n), rows: make([]int, n)}
	rng := random.Stream(0, "calibration", 0)
	for i := range n {
		w.seeds[i] = uint64(i)
		rows := shortest + i%(longest-shortest+1)
		w.rows[i] = rows
		w.mask[i*horizon], w.mask[i*horizon+rows] = 1, 1
		from, to := w.known[i*horizon*dim:], w.known[(i*horizon+rows)*dim:]
		for d := range dim {
			from[d] = info.StateMean[d] + info.StateScale[d]*float32(rng.NormFloat64())
			to[d] = from[d] + info.DeltaScale[d]*float32(math.Sqrt(float64(rows))*rng.NormFloat64())
		}
	}
	return w
}

// stitch does with windows what the steps of the pipeline do with those of a batch.
func (s *Session) stitch(w madeUp) error {
	states, err := s.Sample(w.known, w.mask, w.seeds)
	if err != nil {
		return err
	}
	dim := s.info.ObservationDim
	var plans [][]float32
	var from, to []float32
	for i, rows := range w.rows {
		plan := states[i*s.info.Horizon*dim:][:(rows+1)*dim]
		plans = append(plans, plan)
		from, to = append(from, plan[:rows*dim]...), append(to, plan[dim:]...)
	}
	actions, err := s.InverseDynamics(from, to)
	if err != nil {
		return err
	}
	if s.options.Refine {
		if _, err := s.Refine(plans); err != nil {
			return err
		}
	}
	if _, _, err := s.Outcomes(from, actions); err != nil {
		return err
	}
	_, _, err = s.Dynamics(from, actions)
	return err
}
