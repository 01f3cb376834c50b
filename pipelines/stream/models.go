package stream

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"diffstitch/io/storage"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/session"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/engine"
	"diffstitch/pipelines/modelset"
)

// modelWatch looks whether a new set of models was published. Each set that is used is
// copied: what lies in the folder may be replaced, model by model, while windows are on
// their way.
type modelWatch struct {
	dir, copies string
	current     session.Hashes // in use
	seen        session.Hashes // at the last look
	refused     session.Hashes // a set that cannot be used
}

// look is whether there is another set than the one in use, whole, and as it was a look
// ago. A folder that holds none, since models are being replaced, has none.
func (w *modelWatch) look() bool {
	if engine.Leased(w.dir) {
		return false // they are being trained
	}
	info, err := w.describe()
	if err != nil {
		return false
	}
	hashes := info.Hashes()
	settled := hashes == w.seen
	w.seen = hashes
	return settled && hashes != w.current && hashes != w.refused
}

// describe says what the set in use is.
func (w *modelWatch) describe() (session.Info, error) {
	set, err := modelset.Current(w.dir)
	if err != nil {
		return session.Info{}, err
	}
	return session.Describe(set.Dir, training.KindsOf(training.MethodDiffStitch))
}

// take copies the set that is in the folder, and gives what it is and where.
func (w *modelWatch) take() (session.Info, string, error) {
	set, err := modelset.Current(w.dir)
	if err != nil {
		return session.Info{}, "", err
	}
	kinds := training.KindsOf(training.MethodDiffStitch)
	info, err := session.Describe(set.Dir, kinds)
	if err != nil {
		return info, "", err
	}
	to := storage.Join(w.copies, setName(info.Hashes()))
	if copied, err := session.Describe(to, kinds); err == nil && copied.Hashes() == info.Hashes() {
		return copied, to, nil
	}
	for _, kind := range kinds {
		if err := copyFolder(storage.Join(set.Dir, string(kind)), storage.Join(to, string(kind))); err != nil {
			return info, "", fmt.Errorf("stream: copying the models: %w", err)
		}
	}
	copied, err := session.Describe(to, kinds)
	if err == nil && copied.Hashes() != info.Hashes() {
		err = fmt.Errorf("stream: the models in %q were replaced while they were copied", w.dir)
	}
	for _, kind := range kinds {
		if _, _, _, broken := checkpoint.Open(storage.Join(to, string(kind))); err == nil {
			err = broken
		}
	}
	if err != nil {
		err = errors.Join(err, storage.RemoveAll(to))
	}
	return copied, to, err
}

// setName tells sets apart.
func setName(hashes session.Hashes) string {
	var short []string
	for _, h := range hashes {
		if h != "" {
			short = append(short, h[:min(8, len(h))])
		}
	}
	return strings.Join(short, "-")
}

// copyFolder copies the files of a folder that are not hidden.
func copyFolder(from, to string) error {
	entries, err := storage.ReadDir(from)
	if err != nil {
		return err
	}
	if err := storage.MkdirAll(to); err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := storage.Copy(storage.Join(from, e.Name()), storage.Join(to, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
