package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"diffstitch/io/trajectory"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/input"
)

// known is what a training before this one knew: episodes from the first one on, and
// their fingerprint.
type known struct {
	fingerprint string
	episodes    []int // at the end of that training, and of those that led to it
}

// load reads the whole dataset into memory, where training draws from it at random. It
// sets Learned where the data begins with what was known, and goes on.
func load(ctx context.Context, d input.Dataset, before known) (*training.Data, error) {
	data := &training.Data{ObservationDim: d.Shape.ObservationDim, ActionDim: d.Shape.ActionDim}
	begins := 0 // with so many episodes that were known
	if n := len(before.episodes); n > 0 {
		begins = before.episodes[n-1]
	}
	err := each(ctx, d, func(t training.Trajectory, fingerprint string) {
		data.Trajectories = append(data.Trajectories, t)
		switch n := len(data.Trajectories); {
		case n == begins && fingerprint != before.fingerprint:
			begins = 0
		case n == begins+1 && begins > 0:
			data.Learned = before.episodes
		}
		data.Fingerprint = fingerprint
	})
	return data, err
}

// Fingerprint is what tells a dataset's usable episodes from those of another.
func Fingerprint(ctx context.Context, d input.Dataset) (fingerprint string, err error) {
	err = each(ctx, d, func(_ training.Trajectory, sum string) { fingerprint = sum })
	return fingerprint, err
}

// each hands out the usable episodes, each with the fingerprint of all that came so far.
func each(ctx context.Context, d input.Dataset, use func(t training.Trajectory, fingerprint string)) error {
	fingerprint := sha256.New()
	_, err := d.Each(ctx, func(e *trajectory.Episode) error {
		t := training.Trajectory{States: e.Observations, Actions: e.Actions, Rewards: e.Rewards, Terminal: e.End == trajectory.Terminal}
		if final, known := e.NextObservation(e.Len() - 1); known {
			t.States = append(t.States[:len(t.States):len(t.States)], final...)
		}
		hashFloats(fingerprint, t.States, t.Actions, t.Rewards)
		fingerprint.Write([]byte{byte(e.End)})
		use(t, hex.EncodeToString(fingerprint.Sum(nil)))
		return nil
	})
	return err
}

func hashFloats(h hash.Hash, columns ...[]float32) {
	var buffer []byte
	for _, values := range columns {
		buffer = binary.LittleEndian.AppendUint64(buffer[:0], uint64(len(values)))
		buffer, _ = binary.Append(buffer, binary.LittleEndian, values) // float32 has a fixed size
		h.Write(buffer)
	}
}
