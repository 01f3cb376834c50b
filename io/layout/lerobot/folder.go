// Package lerobot is the layout of LeRobot's folders, v2.1 and v3.0. Their data files
// hold one row per transition; what a folder says of itself lies in meta.
package lerobot

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"diffstitch/io/layout"
	"diffstitch/io/storage"
)

// Layout is what the package does. Its files are read as those of one row per
// transition.
var Layout = layout.Layout{
	Folders: []string{layout.LeRobotV21, layout.LeRobotV30}, Files: layout.Transitions,
	Folder:     folder,
	FolderName: folderName,
	Write:      func(dir string, c layout.ExportConfig) (layout.Writer, error) { return newWriter(dir, c) },
}

// infoFile is what tells a LeRobot folder.
const infoFile = "meta/info.json"

// folderInfo is what info.json says, as far as it is read.
type folderInfo struct {
	Version       string `json:"codebase_version"`
	TotalEpisodes int64  `json:"total_episodes"`
}

// folder lists the data files of a LeRobot folder.
func folder(dir string) (files []string, found bool, err error) {
	var info folderInfo
	switch err := layout.ReadJSON(storage.Join(dir, infoFile), &info); {
	case err == nil:
		files, err = dataFiles(dir, info)
		return files, true, err
	case !errors.Is(err, fs.ErrNotExist):
		return nil, true, fmt.Errorf("dataset: folder %q: %w", dir, err)
	}
	return nil, false, nil
}

// folderName is the layout that a folder says it has.
func folderName(dir string) string {
	var info folderInfo
	if layout.ReadJSON(storage.Join(dir, infoFile), &info) == nil {
		return "lerobot-" + info.Version
	}
	return ""
}

// dataFiles are the data files of a LeRobot folder. What lies in meta is not
// read: the rows say which episode they belong to.
func dataFiles(dir string, info folderInfo) ([]string, error) {
	if !strings.HasPrefix(info.Version, "v2.") && !strings.HasPrefix(info.Version, "v3.") {
		return nil, fmt.Errorf("dataset: folder %q: %w: %s names codebase_version %q; v2.1 and v3.0 are read", dir, layout.ErrMetadata, infoFile, info.Version)
	}
	files, err := layout.ParquetFiles(storage.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	if missing := info.TotalEpisodes - int64(len(files)); strings.HasPrefix(info.Version, "v2.") && missing > 0 {
		return nil, fmt.Errorf("dataset: folder %q: %w: %s names %d episodes, of which the files of %d are missing; was the download cut short?",
			dir, layout.ErrMetadata, infoFile, info.TotalEpisodes, missing)
	}
	return files, nil
}
