package refresh

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"diffstitch/io/snapshot"
	"diffstitch/io/storage"

	"golang.org/x/sync/errgroup"
)

// Inputs are how the files of the data differ from those that a snapshot was made of, by
// their names below the data's path.
type Inputs struct {
	New       []string `json:"new,omitempty"`
	Changed   []string `json:"changed,omitempty"`
	Removed   []string `json:"removed,omitempty"`
	Unchanged int      `json:"unchanged"`
}

// same is whether nothing differs.
func (i Inputs) same() bool { return len(i.New)+len(i.Changed)+len(i.Removed) == 0 }

// words count what differs.
func (i Inputs) words() string {
	return fmt.Sprintf("%d new, %d changed, %d removed, %d as they were", len(i.New), len(i.Changed), len(i.Removed), i.Unchanged)
}

// fingerprints hash the files, whose sizes and times would not tell for sure.
func fingerprints(ctx context.Context, files []string) ([]snapshot.Input, error) {
	found := make([]snapshot.Input, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(hashedAtOnce, runtime.GOMAXPROCS(0)))
	for i, path := range files {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			sum, size, err := snapshot.HashFile(path)
			found[i] = snapshot.Input{Path: path, Bytes: size, SHA256: sum}
			return err
		})
	}
	return found, group.Wait()
}

// hashedAtOnce is how many files are hashed at once, at least: more than there are cores,
// where a storage takes its time to answer.
const hashedAtOnce = 8

// compare says how files differ from those before, each below its root.
func compare(before []snapshot.Input, rootBefore string, now []snapshot.Input, root string) (i Inputs) {
	known := map[string]snapshot.Input{}
	for _, f := range before {
		known[below(rootBefore, f.Path)] = f
	}
	for _, f := range now {
		name := below(root, f.Path)
		was, there := known[name]
		delete(known, name)
		switch {
		case !there:
			i.New = append(i.New, name)
		case was.SHA256 != f.SHA256 || was.Bytes != f.Bytes:
			i.Changed = append(i.Changed, name)
		default:
			i.Unchanged++
		}
	}
	for name := range known {
		i.Removed = append(i.Removed, name)
	}
	slices.Sort(i.Removed)
	return i
}

// below is a file's name below the folder that a path is, or that a glob begins with. A
// path that is the file itself has its last name.
func below(path, file string) string {
	if at := strings.IndexAny(path, "*?["); at >= 0 {
		path = path[:strings.LastIndexByte(path[:at], '/')+1]
	}
	if name, found := strings.CutPrefix(file, strings.TrimSuffix(path, "/")+"/"); found {
		return name
	}
	return cmp.Or(storage.Base(file), file)
}
