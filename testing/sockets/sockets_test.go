package sockets

import (
	"net"
	"slices"
	"testing"
	"time"
)

// TestWatch has the watch find a port, so that finding none means something.
func TestWatch(t *testing.T) {
	done := Watch(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if ports, looks := done(); looks == 0 || !slices.Contains(ports, address) {
		t.Errorf("%v seen in %d looks, want %s", ports, looks, address)
	}
}
