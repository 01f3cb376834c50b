//go:build !cgo || noxla

package backend

import "errors"

// installHint is empty: a plugin would not help this binary.
const installHint = ""

// openXLA says why there is no XLA: its plugins are loaded through cgo.
func openXLA() (opened, error) {
	return opened{}, errors.New("this binary was built without XLA (it needs a C compiler)")
}
