package minari

import (
	"path/filepath"

	"diffstitch/io/layout"
	"diffstitch/io/trajectory"
)

// WriteEpisode writes an episode as the first of a folder, whatever it holds, and gives
// its file.
func WriteEpisode(dir string, c layout.ExportConfig, e *trajectory.Episode) (path string, err error) {
	w := newWriter(dir, c)
	folder := filepath.Join(w.data, "0")
	return filepath.Join(folder, "part-0.parquet"), w.writeRows(folder, e)
}
