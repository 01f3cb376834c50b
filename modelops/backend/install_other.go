//go:build !(linux && amd64)

package backend

import "errors"

func installCUDA(string) error {
	return errors.New("the CUDA plugin exists for linux/amd64 alone")
}
