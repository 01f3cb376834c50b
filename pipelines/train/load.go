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

// load reads the whole dataset into memory, where training draws from it at random.
func load(ctx context.Context, d input.Dataset) (*training.Data, error) {
	data := &training.Data{ObservationDim: d.Shape.ObservationDim, ActionDim: d.Shape.ActionDim}
	fingerprint := sha256.New()
	_, err := d.Each(ctx, func(e *trajectory.Episode) error {
		t := training.Trajectory{States: e.Observations, Actions: e.Actions, Rewards: e.Rewards, Terminal: e.End == trajectory.Terminal}
		if final, known := e.NextObservation(e.Len() - 1); known {
			t.States = append(t.States[:len(t.States):len(t.States)], final...)
		}
		data.Trajectories = append(data.Trajectories, t)
		hashFloats(fingerprint, t.States, t.Actions, t.Rewards)
		fingerprint.Write([]byte{byte(e.End)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	data.Fingerprint = hex.EncodeToString(fingerprint.Sum(nil))
	return data, nil
}

func hashFloats(h hash.Hash, columns ...[]float32) {
	var buffer []byte
	for _, values := range columns {
		buffer = binary.LittleEndian.AppendUint64(buffer[:0], uint64(len(values)))
		buffer, _ = binary.Append(buffer, binary.LittleEndian, values) // float32 has a fixed size
		h.Write(buffer)
	}
}
