package augment_test

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/io/snapshot"
	"diffstitch/io/storage"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/train"
	"diffstitch/testing/stores"

	"github.com/google/go-cmp/cmp"
)

// TestObjectStores trains and augments where data, models and D* are on an object store that
// fails now and then. What comes of it is what comes of folders of this machine.
func TestObjectStores(t *testing.T) {
	local := run(t, augmenting(t))
	data, err := os.ReadFile(world.data)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{stores.GCS, stores.S3} {
		t.Run(kind, func(t *testing.T) {
			store := stores.Start(t, kind)
			store.Suffer(stores.Faults{Seed: 3, Unavailable: 0.01, TooMany: 0.01, Reset: 0.01, Lost: 0.01, Truncated: 0.01})
			at := store.Root + "/team"
			if err := storage.WriteWhole(at+"/data/maze.parquet", func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
				t.Fatal(err)
			}
			models, err := train.Run(t.Context(), training(at+"/data", at+"/models"), nil)
			if err != nil {
				t.Fatal(err)
			}
			o := augmenting(t)
			o.Data.Path, o.Models, o.Out = at+"/data", at+"/models", at+"/out"
			s := run(t, o)
			if d := cmp.Diff(hashes(local), hashes(s)); d != "" {
				t.Errorf("D* is another (-local +%s):\n%s", kind, d)
			}
			for i, m := range local.Manifest.Models {
				if s.Manifest.Models[i] != m || len(models.Models) < len(local.Manifest.Models) {
					t.Errorf("model %+v, want %+v", s.Manifest.Models[i], m)
				}
			}
			checked, err := exchange.Inspect(t.Context(), o.Out, dataset.Options{}, true)
			if err != nil || checked.Err() != nil {
				t.Error(err, checked.Err())
			}
			again := run(t, o)
			if again.Manifest.Parent != s.ID {
				t.Errorf("the next snapshot's parent is %q, want %q", again.Manifest.Parent, s.ID)
			}
			if files, err := input.Files(o.Out, true); err != nil || !strings.HasPrefix(files[0], again.Dir) {
				t.Errorf("%q are read: %v", files, err)
			}
			left, err := storage.ReadDir(at + "/out")
			if err != nil || len(left) != 2 {
				t.Errorf("there is %v beside CURRENT and the snapshots: %v", left, err)
			}
			if err := storage.Walk(store.Root, func(path string, _ fs.FileInfo) error {
				text, err := storage.ReadFile(path, 1<<30)
				if bytes.Contains(text, []byte(stores.Secret)) {
					t.Errorf("%s holds the secret of the store", path)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
			if removed, err := snapshot.Clean(o.Out); err != nil || len(removed) > 0 {
				t.Errorf("%v was left behind: %v", removed, err)
			}
		})
	}
}
