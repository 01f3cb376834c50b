package layout

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// ParquetFiles are the *.parquet in a folder and those below.
func ParquetFiles(data string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != data && strings.ContainsRune("._", rune(entry.Name()[0])):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case !entry.IsDir() && filepath.Ext(path) == ".parquet":
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("dataset: listing %q: %w", data, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("dataset: folder %q: %w: it holds no *.parquet; give the folder that does, or a file", data, ErrNoFiles)
	}
	slices.Sort(files)
	return files, nil
}
