package backend

import (
	"errors"

	"github.com/gomlx/go-xla/installer"
)

// installCUDA refuses where there is no GPU, since go-xla's installer then
// does nothing and reports success.
func installCUDA(folder string) error {
	if !installer.HasNvidiaGPU() {
		return errors.New("no NVIDIA GPU found on this machine")
	}
	return installer.CudaAutoInstall(folder, true, installer.Normal)
}
