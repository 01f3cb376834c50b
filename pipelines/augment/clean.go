package augment

import (
	"io/fs"
	"os"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/modelops/checkpoint"
	"diffstitch/modelops/training"
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
