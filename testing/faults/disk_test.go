package faults

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of so many bytes, where the test may.
func smallDisk(t *testing.T, bytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+bytes); err != nil {
		t.Skip("a small file system cannot be mounted here:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk publishes into file systems that are too small in other stages,
// then into one that is large enough.
func TestFullDisk(t *testing.T) {
	setup(t)
	l := stitching.tally(t)
	sizes := []string{"64k", "256k"}
	if kills > 25 {
		sizes = append(sizes, "16k", "128k", "192k", "320k", "400k")
	}
	for _, size := range sizes {
		out := filepath.Join(smallDisk(t, size), "out")
		mustFail(t, stitching.augment(t, "", out), "no space left on device")
		l.runs++
		l.faults++
		checkNothingPublished(t, out)
	}
	out := filepath.Join(smallDisk(t, "16m"), "out")
	must(t, stitching.augment(t, "", out))
	l.runs++
	l.checkDataset(t, out)
}

// TestFullDiskOfModels trains into a file system that is too small, and goes on
// when there is room.
func TestFullDiskOfModels(t *testing.T) {
	setup(t)
	l := stitching.tally(t)
	models := filepath.Join(smallDisk(t, "100k"), "models")
	mustFail(t, train(t, "", models), "no space left on device")
	l.runs++
	l.faults++
	must(t, command(t, world.binary, "clean", "--models", models))
	if left, err := filepath.Glob(filepath.Join(models, "*", ".*")); err != nil || len(left) > 0 {
		t.Errorf("%q are left (%v)", left, err)
	}
	roomy := filepath.Join(t.TempDir(), "models")
	if err := os.CopyFS(roomy, os.DirFS(models)); err != nil {
		t.Fatal(err)
	}
	must(t, train(t, "", roomy))
	l.runs++
	if got := modelHashes(t, roomy); len(got) != 4 || got[0] != world.modelHashes[0] || got[3] != world.modelHashes[3] {
		t.Errorf("the models differ from the undisturbed ones: %q, want %q", got, world.modelHashes)
	}
}
