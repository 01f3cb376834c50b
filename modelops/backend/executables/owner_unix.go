//go:build unix

package executables

import (
	"io/fs"
	"os"
	"syscall"
)

// mine is whether a file is this user's.
func mine(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}
