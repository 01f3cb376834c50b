package layouts

import (
	"os/exec"
	"path/filepath"
	"testing"

	"diffstitch/io/dataset"
	"diffstitch/testing/fixture"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestHDF5 has a D* with episodes of every source go to HDF5 and back.
func TestHDF5(t *testing.T) {
	python := fixture.Python(t, "h5py", "pyarrow.parquet")
	converter := filepath.Join(fixture.Root(t), "tools", "hdf5", "convert.py")
	dir := t.TempDir()
	source := filepath.Join(dir, "source.parquet")
	want := walks()
	fixture.Write(t, source, want...)
	for _, layout := range []string{"d4rl", "minari"} {
		t.Run(layout, func(t *testing.T) {
			made, back := filepath.Join(dir, layout), filepath.Join(dir, layout+".parquet")
			for _, args := range [][]string{{"export", layout, source, made}, {"import", made, back}} {
				if out, err := exec.Command(python, append([]string{converter}, args...)...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
			}
			if diff := gocmp.Diff(want, fixture.Episodes(t, back)); diff != "" {
				t.Errorf("what came back (-D* +got):\n%s", diff)
			}
			violations, _, err := dataset.Verify(t.Context(), []string{back})
			if err != nil || len(violations) > 0 {
				t.Errorf("what came back is no D*: %v, %v", violations, err)
			}
		})
	}
}
