package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/prometheus/procfs"
)

// listenToProcess listens at a socket that has a name and no file, to connections of
// this very process.
func listenToProcess() (net.Listener, string, error) {
	name := "diffstitch-" + rand.Text()
	listener, err := net.Listen("unix", "@"+name)
	if err != nil {
		return nil, "", err
	}
	return onlyThose{listener, ofThisProcess}, "unix-abstract:" + name, nil
}

var errSomebodyElse = errors.New("it is somebody else's")

// ofThisProcess asks the kernel who is at the other end.
func ofThisProcess(conn net.Conn) error {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var peer *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	if int(peer.Pid) != os.Getpid() {
		return fmt.Errorf("%w: process %d of user %d", errSomebodyElse, peer.Pid, peer.Uid)
	}
	return nil
}

// listenToUser listens at a port of the loopback, to connections of this user's.
func listenToUser() (net.Listener, string, error) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return nil, "", err
	}
	return onlyThose{listener, ofThisUser}, listener.Addr().String(), nil
}

// ofThisUser looks the other end up among the kernel's connections.
func ofThisUser(conn net.Conn) error {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return err
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return err
	}
	lines, err := fs.NetTCP()
	mapped, err6 := fs.NetTCP6() // where IPv4 connections of IPv6 sockets are
	if err := errors.Join(err, err6); err != nil && len(lines)+len(mapped) == 0 {
		return err
	}
	for _, line := range append(lines, mapped...) {
		at, ok := netip.AddrFromSlice(line.LocalAddr)
		if !ok || at.Unmap() != peer.Addr().Unmap() || line.LocalPort != uint64(peer.Port()) {
			continue
		}
		if line.UID == uint64(os.Getuid()) {
			return nil
		}
		return fmt.Errorf("%w: user %d", errSomebodyElse, line.UID)
	}
	return fmt.Errorf("%w: no connection from %s is known", errSomebodyElse, peer)
}
