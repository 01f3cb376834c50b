package datasetio

import (
	"encoding/json"
	"fmt"
	"io"

	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func init() { beam.RegisterDoFn(&deadFn{}) }

// DeadLetters writes PCollections<trajectory.Failure> to a file a batch in dir,
// where LoadDeadLetters finds them even if the job comes to nothing. It fails
// once more pairs than the limit have failed, so that a job stops early.
func DeadLetters(s beam.Scope, dir string, limit int64, failures ...beam.PCollection) {
	s = s.Scope("datasetio.DeadLetters")
	beam.ParDo0(s, &deadFn{Dir: dir, Limit: limit}, beam.Flatten(s, failures...))
}

// deadFile is told apart by the batch alone: one that failed at a stage, and at
// another when its bundle was tried again, failed once.
const deadFile = "dead-%08d-%t.json"

// maxDeadLetter bounds what is read of one, in bytes.
const maxDeadLetter = 64 << 20

type deadFn struct {
	Dir   string `json:"dir"`
	Limit int64  `json:"limit"`
}

func (fn *deadFn) ProcessElement(f trajectory.Failure) error {
	path := storage.Join(fn.Dir, fmt.Sprintf(deadFile, f.Batch, f.ByEntry))
	if err := storage.WriteWhole(path, func(w io.Writer) error { return json.NewEncoder(w).Encode(f) }); err != nil {
		return err
	}
	all, err := LoadDeadLetters(fn.Dir)
	if err != nil {
		return err
	}
	var pairs int64
	for _, f := range all {
		pairs += f.Pairs
	}
	if pairs > fn.Limit {
		return fmt.Errorf("datasetio: %d stitches failed, %d may; the last in %s: batch %d: %s", pairs, fn.Limit, f.Stage, f.Batch, f.Error)
	}
	return nil
}

// LoadDeadLetters gives the dead letters in a folder, by batch.
func LoadDeadLetters(dir string) ([]trajectory.Failure, error) {
	files, err := storage.Glob(storage.Join(dir, "dead-*.json")) // in order
	if err != nil {
		return nil, fmt.Errorf("datasetio: listing dead letters: %w", err)
	}
	var all []trajectory.Failure
	for _, path := range files {
		raw, err := storage.ReadFile(path, maxDeadLetter)
		if err != nil {
			return nil, fmt.Errorf("datasetio: reading a dead letter: %w", err)
		}
		var f trajectory.Failure
		if err := json.Unmarshal(raw, &f); err != nil {
			return nil, fmt.Errorf("datasetio: reading %q: %w", path, err)
		}
		all = append(all, f)
	}
	return all, nil
}

// WriteFailures writes dead letters for readers, a line each.
func WriteFailures(w io.Writer, failures []trajectory.Failure) error {
	lines := json.NewEncoder(w)
	for _, f := range failures {
		if err := lines.Encode(f); err != nil {
			return err
		}
	}
	return nil
}
