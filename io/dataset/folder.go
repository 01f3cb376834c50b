package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// foreignFiles lists the data files of a folder that another tool made, in
// order; found is whether it is such a folder.
func foreignFiles(dir string) (files []string, found bool, err error) {
	var info leRobotInfo
	switch err := readMetadata(filepath.Join(dir, leRobotInfoFile), &info); {
	case err == nil:
		files, err = leRobotFiles(dir, info)
		return files, true, err
	case !errors.Is(err, fs.ErrNotExist):
		return nil, true, fmt.Errorf("dataset: folder %q: %w", dir, err)
	}
	for _, data := range []string{dir, filepath.Join(dir, "data")} {
		var meta minariDataset
		switch err := readMetadata(filepath.Join(data, minariMetadata), &meta); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, true, fmt.Errorf("dataset: folder %q: %w", data, err)
		case meta.DataFormat == "" && meta.TotalEpisodes == nil:
			continue // some other tool's
		default:
			files, err = minariFiles(data, meta)
			return files, true, err
		}
	}
	return nil, false, nil
}

// FolderLayout is the layout of a folder that another tool made, or "".
func FolderLayout(dir string) string {
	var info leRobotInfo
	if readMetadata(filepath.Join(dir, leRobotInfoFile), &info) == nil {
		return "lerobot-" + info.Version
	}
	for _, data := range []string{dir, filepath.Join(dir, "data")} {
		var meta minariDataset
		if readMetadata(filepath.Join(data, minariMetadata), &meta) == nil && meta.DataFormat != "" {
			return "minari-" + meta.DataFormat
		}
	}
	return ""
}

// leRobotFiles are the data files of a LeRobot folder. What lies in meta is not
// read: the rows say which episode they belong to.
func leRobotFiles(dir string, info leRobotInfo) ([]string, error) {
	if !strings.HasPrefix(info.Version, "v2.") && !strings.HasPrefix(info.Version, "v3.") {
		return nil, fmt.Errorf("dataset: folder %q: %w: %s names codebase_version %q; v2.1 and v3.0 are read", dir, ErrMetadata, leRobotInfoFile, info.Version)
	}
	files, err := parquetFiles(filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	if missing := info.TotalEpisodes - int64(len(files)); strings.HasPrefix(info.Version, "v2.") && missing > 0 {
		return nil, fmt.Errorf("dataset: folder %q: %w: %s names %d episodes, of which the files of %d are missing; was the download cut short?",
			dir, ErrMetadata, leRobotInfoFile, info.TotalEpisodes, missing)
	}
	return files, nil
}

// minariDataset is what the metadata.json of a Minari dataset says.
type minariDataset struct {
	DataFormat    string `json:"data_format"`
	TotalEpisodes *int64 `json:"total_episodes"`
}

// minariFiles are the files of the episodes 0, 1, 2, … of a Minari dataset.
func minariFiles(data string, meta minariDataset) ([]string, error) {
	refuse := func(format string, args ...any) ([]string, error) {
		return nil, fmt.Errorf("dataset: Minari folder %q: %w: %s", data, ErrMetadata, fmt.Sprintf(format, args...))
	}
	if meta.DataFormat != "arrow" && meta.DataFormat != "parquet" {
		return refuse("its data_format is %q; arrow and parquet are read, and tools/hdf5 makes Parquet of hdf5", meta.DataFormat)
	}
	numbers, err := episodeFolders(data)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, number := range numbers {
		parts, err := filesIn(filepath.Join(data, strconv.FormatInt(number, 10)), "."+meta.DataFormat)
		if err != nil {
			return nil, err
		}
		if len(parts) != 1 {
			return refuse("episode %d has %d *.%s files, want one", number, len(parts), meta.DataFormat)
		}
		files = append(files, parts[0])
	}
	if meta.TotalEpisodes != nil && *meta.TotalEpisodes > int64(len(files)) {
		return refuse("it names %d episodes, and holds %d; was the download cut short?", *meta.TotalEpisodes, len(files))
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("dataset: Minari folder %q: %w: it holds no episode", data, ErrNoFiles)
	}
	return files, nil
}

// episodeFolders are the numbers that name folders of a folder, in order.
func episodeFolders(data string) (numbers []int64, err error) {
	entries, err := os.ReadDir(data)
	if err != nil {
		return nil, fmt.Errorf("dataset: listing %q: %w", data, err)
	}
	for _, entry := range entries {
		number, err := strconv.ParseInt(entry.Name(), 10, 64)
		if err == nil && entry.IsDir() && entry.Name() == strconv.FormatInt(number, 10) {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// filesIn are the files of a folder that have an extension.
func filesIn(dir, extension string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("dataset: listing %q: %w", dir, err)
	}
	for _, entry := range entries {
		if !entry.IsDir() && filepath.Ext(entry.Name()) == extension {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	return files, nil
}
