package datasetio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"diffstitch/io/attempt"
	"diffstitch/io/dataset"
	"diffstitch/io/storage"
	"diffstitch/io/trajectory"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&takeFn{})
	register.Emitter1[Taken]()
	register.Emitter1[Split]()
}

// Arrival is a file that came in a window of a stream, as it was when it was seen.
type Arrival struct {
	Place    int32 // of its copy among the files of the window's input
	Path     string
	Bytes    int64
	Modified int64 // ns since 1970
}

// is whether the file still is what arrived.
func (a Arrival) is(info fs.FileInfo) bool {
	return info.Size() == a.Bytes && info.ModTime().UnixNano() == a.Modified
}

// Taken is what became of an arrival.
type Taken struct {
	Arrival
	SHA256 string
	// Changed is whether the file is gone or another by now, so that it was left alone.
	Changed bool
}

var filesTaken = beam.NewCounter("datasetio", "files_taken")

// Take copies the files of a PCollection<Arrival> to where the inputs of their windows
// say, so that all that reads a window's files, as often as a runner tries, reads the same,
// and scans the copies as Scan does. It gives a PCollection<Taken>, too.
func Take(s beam.Scope, in Input, shape Shape, scoring trajectory.Scoring, dir string, arrivals beam.PCollection) (taken, scanned, rejects beam.PCollection) {
	s = s.Scope("datasetio.Take")
	taken, splits, broken := beam.ParDo3(s, &takeFn{splitFn{Input: in, Shape: shape, Bytes: splitBytes}}, beam.Reshuffle(s, arrivals))
	scanned, rejects = beam.ParDo2(s, &scanFn{Input: in, Scoring: scoring, Dir: dir}, beam.Reshuffle(s, splits))
	return taken, scanned, beam.Flatten(s, broken, rejects)
}

type takeFn struct{ splitFn }

func (fn *takeFn) ProcessElement(ctx context.Context, w beam.Window, a Arrival, emit func(Taken), split func(Split), reject func(dataset.Reject)) error {
	in, goesOn, err := fn.Input.In(w)
	if !goesOn {
		return err
	}
	taken, err := attempt.Do(ctx, "take", storage.Base(a.Path), func() (Taken, error) { return take(a, in.Files[a.Place]) })
	if err != nil {
		return fmt.Errorf("datasetio: taking %q: %w", a.Path, err)
	}
	emit(taken)
	if taken.Changed {
		return nil
	}
	filesTaken.Inc(ctx, 1)
	return fn.split(ctx, in, a.Place, split, reject)
}

// errChanged is of a file that is another one by now.
var errChanged = errors.New("it has changed")

// take copies a file, unless an earlier try did.
func take(a Arrival, to string) (Taken, error) {
	taken := Taken{Arrival: a}
	hash := sha256.New()
	err := copyTo(hash, to)
	if !errors.Is(err, fs.ErrNotExist) {
		taken.SHA256 = hex.EncodeToString(hash.Sum(nil))
		return taken, err
	}
	hash.Reset()
	err = storage.WriteWhole(to, func(w io.Writer) error {
		if err := a.check(); err != nil {
			return err
		}
		if err := copyTo(io.MultiWriter(w, hash), a.Path); err != nil {
			return err
		}
		return a.check()
	})
	if errors.Is(err, errChanged) || errors.Is(err, fs.ErrNotExist) {
		taken.Changed = true
		return taken, nil
	}
	taken.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return taken, err
}

func (a Arrival) check() error {
	info, err := storage.Stat(a.Path)
	if err == nil && !a.is(info) {
		err = errChanged
	}
	return err
}

func copyTo(w io.Writer, path string) error {
	f, err := storage.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	_, err = io.CopyBuffer(w, f.Reader(), make([]byte, hashChunk))
	return err
}
