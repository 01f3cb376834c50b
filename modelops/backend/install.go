package backend

import (
	"fmt"
	"path/filepath"

	"github.com/gomlx/go-xla/installer"
)

// Install downloads an XLA plugin, cpu or cuda, by go-xla's own installer into
// the user's library folder, where Open finds it from then on.
func Install(kind string) error {
	home, err := installer.DefaultHomeLibPath()
	if err != nil {
		return fmt.Errorf("backend: installing the %s plugin: %w", kind, err)
	}
	folder := filepath.Join(home, "go-xla")
	switch kind {
	case "cpu":
		err = installer.CPUAutoInstall(folder, true, installer.Normal)
	case "cuda":
		err = installCUDA(folder)
	default:
		return fmt.Errorf("backend: unknown plugin %q: it is cpu or cuda", kind)
	}
	if err != nil {
		return fmt.Errorf("backend: installing the %s plugin into %q: %w", kind, folder, err)
	}
	return nil
}
