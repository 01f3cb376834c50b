package augment

import (
	"io/fs"
	"os"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training"
	"diffstitch/pipelines/modelset"
)

// Clean removes what runs that died left in the staging of an output folder and
// among the models, and says what that was. Either folder may be "".
func Clean(out, models string) (removed []snapshot.Removed, err error) {
	if out != "" {
		if removed, err = snapshot.Clean(out); err != nil {
			return removed, err
		}
	}
	if models == "" {
		return removed, nil
	}
	sets, err := modelset.Dirs(models)
	if err != nil {
		return removed, err
	}
	for _, set := range sets {
		some, err := cleanSet(set)
		if removed = append(removed, some...); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// cleanSet removes what dead trainings left among the models of a set.
func cleanSet(models string) (removed []snapshot.Removed, err error) {
	for _, kind := range training.Kinds {
		dir := storage.Join(models, string(kind))
		if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			continue // what lies elsewhere is somebody else's to clean
		}
		leftovers, err := checkpoint.RemoveLeftovers(dir)
		for _, l := range leftovers {
			removed = append(removed, snapshot.Removed{Path: l.Path, Files: 1, Bytes: l.Bytes})
		}
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}
