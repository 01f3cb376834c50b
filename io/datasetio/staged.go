package datasetio

import (
	"errors"
	"fmt"
	"slices"

	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"
)

// stagedFile is the file in which Stage leaves the bridges of a batch.
func stagedFile(dir string, batch int32) string {
	return storage.Join(dir, fmt.Sprintf("bridges-%08d.parquet", batch))
}

// CountStaged counts the batches from first on whose bridges Stage has left in a
// folder.
func CountStaged(dir string, first int64) (batches int64, err error) {
	files, err := storage.ReadDir(dir)
	for _, file := range files {
		var batch int32
		if _, err := fmt.Sscanf(file.Name(), "bridges-%d.parquet", &batch); err == nil && stagedFile(dir, batch) == storage.Join(dir, file.Name()) && int64(batch) >= first {
			batches++
		}
	}
	return batches, err
}

// mostStaged is how many staged files are held open: who reads bridges in their
// order needs one, and other orders return to the same few.
const mostStaged = 8

// Staged reads the bridges that Stage left in a folder, or what StageSynthetic did.
type Staged struct {
	dir     string
	files   map[int32]*dataset.File // by batch
	decoded *decodedFile            // nil before the first Block
}

// OpenStaged reads from a folder; close it when done.
func OpenStaged(dir string) *Staged { return &Staged{dir: dir, files: map[int32]*dataset.File{}} }

// Fetch reads a bridge as an episode of its own, whose final observation is
// always known.
func (s *Staged) Fetch(at trajectory.Location) (*trajectory.Episode, error) {
	f, err := s.open(at.File)
	if err != nil {
		return nil, err
	}
	e, err := f.Fetch(at)
	if err != nil {
		return nil, err
	}
	return withFinal(e), nil
}

// Bridges reads the bridges of a stitch, in order.
func (s *Staged) Bridges(o trajectory.Outcome) ([]*trajectory.Episode, error) {
	first, err := s.Fetch(o.Staged)
	bridges := []*trajectory.Episode{first}
	for _, hop := range o.Onward {
		bridge, failed := s.Fetch(hop.Staged)
		bridges, err = append(bridges, bridge), errors.Join(err, failed)
	}
	return bridges, err
}

// open opens the file of a batch, or takes the one that is open.
func (s *Staged) open(batch int32) (*dataset.File, error) {
	if f := s.files[batch]; f != nil {
		return f, nil
	}
	if len(s.files) == mostStaged {
		s.Close()
	}
	f, err := dataset.Open(stagedFile(s.dir, batch), dataset.Options{})
	if err != nil {
		return nil, err
	}
	s.files[batch] = f
	return f, nil
}

// withFinal sets the final observation, which is always known of what is staged.
// The file's way to say "unknown" is to repeat the last observation: there the
// last step did stay in place.
func withFinal(e *trajectory.Episode) *trajectory.Episode {
	if e.FinalObservation == nil {
		e.FinalObservation = slices.Clone(e.Observation(e.Len() - 1))
	}
	return e
}

// Close closes the files that are open.
func (s *Staged) Close() {
	for _, f := range s.files {
		f.Close() // read only: nothing is lost if it fails
	}
	clear(s.files)
}
