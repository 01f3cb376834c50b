package minari

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"diffstitch/io/layout"
	"diffstitch/io/storage"
)

// folder lists the files of a Minari dataset, or of the folder data of one.
func folder(dir string) (files []string, found bool, err error) {
	for _, data := range []string{dir, storage.Join(dir, "data")} {
		var meta description
		switch err := layout.ReadJSON(storage.Join(data, metadataFile), &meta); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, true, fmt.Errorf("dataset: folder %q: %w", data, err)
		case meta.DataFormat == "" && meta.TotalEpisodes == nil:
			continue // some other tool's
		default:
			files, err = episodeFiles(data, meta)
			return files, true, err
		}
	}
	return nil, false, nil
}

// folderName is the layout that a folder says it has.
func folderName(dir string) string {
	for _, data := range []string{dir, storage.Join(dir, "data")} {
		var meta description
		if layout.ReadJSON(storage.Join(data, metadataFile), &meta) == nil && meta.DataFormat != "" {
			return "minari-" + meta.DataFormat
		}
	}
	return ""
}

// description is what the metadata.json of a Minari dataset says.
type description struct {
	DataFormat    string `json:"data_format"`
	TotalEpisodes *int64 `json:"total_episodes"`
}

// episodeFiles are the files of the episodes 0, 1, 2, … of a Minari dataset.
func episodeFiles(data string, meta description) ([]string, error) {
	refuse := func(format string, args ...any) ([]string, error) {
		return nil, fmt.Errorf("dataset: Minari folder %q: %w: %s", data, layout.ErrMetadata, fmt.Sprintf(format, args...))
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
		parts, err := filesIn(storage.Join(data, strconv.FormatInt(number, 10)), "."+meta.DataFormat)
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
		return nil, fmt.Errorf("dataset: Minari folder %q: %w: it holds no episode", data, layout.ErrNoFiles)
	}
	return files, nil
}

// episodeFolders are the numbers that name folders of a folder, in order.
func episodeFolders(data string) (numbers []int64, err error) {
	entries, err := storage.ReadDir(data)
	if err != nil {
		return nil, fmt.Errorf("dataset: listing %q: %w", data, err)
	}
	for _, entry := range entries {
		number, err := strconv.ParseInt(entry.Name(), 10, 64)
		if err != nil || entry.Name() != strconv.FormatInt(number, 10) {
			continue
		}
		if info, err := storage.Stat(storage.Join(data, entry.Name())); err == nil && info.IsDir() { // or a link to one
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// filesIn are the files of a folder that have an extension.
func filesIn(dir, extension string) (files []string, err error) {
	entries, err := storage.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("dataset: listing %q: %w", dir, err)
	}
	for _, entry := range entries {
		if !entry.IsDir() && filepath.Ext(entry.Name()) == extension {
			files = append(files, storage.Join(dir, entry.Name()))
		}
	}
	return files, nil
}
