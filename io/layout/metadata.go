package layout

import (
	"encoding/json"
	"fmt"
	"io"

	"diffstitch/io/storage"
)

// maxMetadata bounds the metadata that is read, in bytes. Spaces of images
// spell out a bound for every pixel.
const maxMetadata = 64 << 20

// ReadJSON reads a JSON file.
func ReadJSON(path string, into any) (err error) {
	f, err := storage.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	if f.Size() > maxMetadata {
		return fmt.Errorf("%w: %q has %d bytes", ErrMetadata, path, f.Size())
	}
	data, err := io.ReadAll(f.Reader())
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrMetadata, path, err)
	}
	return nil
}

// WriteJSON makes a file of a value.
func WriteJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return fmt.Errorf("dataset: writing %q: %w", path, err)
	}
	return storage.CreateWhole(path, func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}
