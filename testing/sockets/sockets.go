// Package sockets watches, in tests, at what ports this process listens.
package sockets

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// listening is the state of a socket that takes connections, as the kernel's tables
// name it.
const listening = 0x0a

// Watch looks until the test calls done, which gives the ports that were seen, and
// how often it looked. It skips where the kernel has no such tables.
func Watch(t testing.TB) (done func() (ports []string, looks int)) {
	t.Helper()
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		t.Skip("no tables of sockets: ", err)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	seen, looks := map[string]bool{}, 0
	go func() {
		defer close(ended)
		for {
			ports, err := here(fs)
			if err != nil {
				t.Error(err)
				return
			}
			for _, port := range ports {
				seen[port] = true
			}
			looks++
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() (ports []string, _ int) {
		close(stop)
		<-ended
		for port := range seen {
			ports = append(ports, port)
		}
		slices.Sort(ports)
		return ports, looks
	}
}

// here lists the ports at which this process listens now.
func here(fs procfs.FS) (ports []string, err error) {
	self, err := fs.Self()
	if err != nil {
		return nil, err
	}
	targets, err := self.FileDescriptorTargets()
	if err != nil {
		return nil, err
	}
	four, err := fs.NetTCP()
	if err != nil {
		return nil, err
	}
	six, err := fs.NetTCP6()
	if err != nil {
		return nil, err
	}
	for _, line := range append(four, six...) {
		if line.St == listening && slices.Contains(targets, fmt.Sprintf("socket:[%d]", line.Inode)) {
			ports = append(ports, fmt.Sprintf("%s:%d", line.LocalAddr, line.LocalPort))
		}
	}
	return ports, nil
}
