//go:build !cgo || noxla

package backend

import (
	"errors"

	"github.com/gomlx/compute"
)

// installHint is empty: a plugin would not help this binary.
const installHint = ""

// openXLA says why there is no XLA: its plugins are loaded through cgo.
func openXLA() (opened, error) {
	return opened{}, errors.New("this binary was built without XLA (it needs a C compiler)")
}

func isCUDA(compute.Backend) bool { return false }

// IsXLACPU tells whether a backend is XLA on the CPU.
func IsXLACPU(compute.Backend) bool { return false }

func setTF32(compute.Backend, bool) {}

func usesTF32(compute.Backend) bool { return false }
