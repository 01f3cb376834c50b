//go:build !linux

package embedded

import (
	"net"
	"os"
	"path/filepath"
)

// listenToProcess listens at a socket in a folder that only this user may enter.
func listenToProcess() (net.Listener, string, error) {
	dir, err := os.MkdirTemp("", "diffstitch")
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, "", err
	}
	return removing{listener, dir}, "unix:" + path, nil
}

// removing is a listener whose folder goes with it.
type removing struct {
	net.Listener
	dir string
}

func (l removing) Close() error {
	err := l.Listener.Close()
	_ = os.RemoveAll(l.dir) // it is empty
	return err
}

// listenToUser listens at a port of the loopback. Whose connections they are cannot
// be told here.
func listenToUser() (net.Listener, string, error) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return nil, "", err
	}
	return listener, listener.Addr().String(), nil
}
