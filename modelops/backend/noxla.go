//go:build !cgo || noxla

package backend

import "errors"

// openXLA says why there is no XLA: its plugins are loaded through cgo.
func openXLA() (opened, error) {
	return opened{}, errors.New("backend: this binary was built without XLA (it needs a C compiler)")
}
