package learners

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"diffstitch/modelops/tensorboard"
)

// The files that a training's curves are in, below its folder: JSON lines of all seeds,
// and TensorBoard's event files, a folder per seed.
const (
	MetricsFile = "metrics.jsonl"
	EventsDir   = "tensorboard"
)

// Point is a line of MetricsFile: the means of a seed's updates since its line before.
type Point struct {
	Step    int                `json:"step"` // updates
	Seed    uint64             `json:"seed"`
	Metrics map[string]float64 `json:"metrics"`
}

// recorder writes the curves while a training goes on.
type recorder struct {
	lines  *os.File
	events map[uint64]*os.File // by seed
}

// newRecorder begins the files anew, with the points up to the update that a training
// goes on from.
func newRecorder(dir string, seeds []uint64, done int) (*recorder, error) {
	var points []Point
	if done > 0 {
		all, err := ReadMetrics(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		points = slices.DeleteFunc(all, func(p Point) bool { return p.Step > done })
	}
	r := &recorder{events: map[uint64]*os.File{}}
	if err := r.create(dir, seeds); err != nil {
		return nil, errors.Join(fmt.Errorf("beginning the metrics: %w", err), r.close())
	}
	for _, point := range points {
		if err := r.add(point); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

func (r *recorder) create(dir string, seeds []uint64) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if r.lines, err = os.Create(filepath.Join(dir, MetricsFile)); err != nil {
		return err
	}
	for _, seed := range seeds {
		run := filepath.Join(dir, EventsDir, "seed_"+strconv.FormatUint(seed, 10))
		if err := os.MkdirAll(run, 0o755); err != nil {
			return err
		}
		if r.events[seed], err = os.Create(filepath.Join(run, tensorboard.FileName)); err != nil {
			return err
		}
		if err := tensorboard.Begin(r.events[seed]); err != nil {
			return err
		}
	}
	return nil
}

// add writes a point.
func (r *recorder) add(p Point) error {
	line, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding metrics: %w", err)
	}
	if _, err := r.lines.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	var scalars []tensorboard.Scalar
	for _, name := range slices.Sorted(maps.Keys(p.Metrics)) {
		scalars = append(scalars, tensorboard.Scalar{Tag: name, Value: p.Metrics[name]})
	}
	return tensorboard.Write(r.events[p.Seed], p.Step, scalars...)
}

func (r *recorder) close() error {
	var failures []error
	for _, file := range append(slices.Collect(maps.Values(r.events)), r.lines) {
		if file != nil {
			failures = append(failures, file.Close())
		}
	}
	return errors.Join(failures...)
}

// ReadMetrics reads the curves of a training. A last line that was cut off is left out.
func ReadMetrics(dir string) ([]Point, error) {
	path := filepath.Join(dir, MetricsFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("learners: reading metrics: %w", err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	var points []Point
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		var p Point
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return points, nil
		}
		if err != nil {
			return nil, fmt.Errorf("learners: reading %q line %d: %w", path, len(points)+1, err)
		}
		points = append(points, p)
	}
}
