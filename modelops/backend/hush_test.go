//go:build cgo && !noxla

package backend

import (
	"os"
	"path/filepath"
	"testing"
)

// TestHush: go-xla gives its advice on CUDA's libraries where it finds them, or was asked
// for it.
func TestHush(t *testing.T) {
	for _, test := range []struct {
		name, asked string
		libraries   bool
		want        string
	}{
		{"no libraries", "", false, "no"},
		{"libraries beside it", "", true, ""},
		{"asked for", "yes", false, "yes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(cudaChecks, test.asked)
			if test.asked == "" {
				if err := os.Unsetenv(cudaChecks); err != nil {
					t.Fatal(err)
				}
			}
			dir := t.TempDir()
			if test.libraries {
				if err := os.Mkdir(filepath.Join(dir, "nvidia"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			hush(filepath.Join(dir, "plugins", "pjrt_c_api_cuda_plugin.so") + ",shared_buffers")
			if got := os.Getenv(cudaChecks); got != test.want {
				t.Errorf("%s=%q, want %q", cudaChecks, got, test.want)
			}
		})
	}
}
