// Package embedded has Beam's prism runner and its workers talk inside this process,
// without a port that somebody else could use.
//
// Left to itself, prism opens its job service on all of the machine's interfaces,
// and starts whatever command a job names, whoever sends the job. Beam's worker pool
// for LOOPBACK takes orders from everyone on this machine. Here the job service
// listens on a connection in memory, and a pool answers this process, or this user,
// alone.
package embedded

import (
	"context"
	"fmt"
	"math"
	"net"
	"sync"
	"time"
	"unsafe"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism" // whose server it is
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// Prism gives the endpoint of this process's prism, which begins when it is first
// asked for. Only Beam's clients in this process can dial it.
var Prism = sync.OnceValues(start)

// The parts of prism's server, which upstream keeps to itself: its constructor opens
// a port, and no other does without. A server and a job are pointers to upstream's
// structs.
//
//go:linkname newServer github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism/internal/jobservices.NewServer
func newServer(port int, execute func(job unsafe.Pointer)) (server unsafe.Pointer)

//go:linkname endpointOf github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism/internal/jobservices.(*Server).Endpoint
func endpointOf(server unsafe.Pointer) string

//go:linkname serve github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism/internal/jobservices.(*Server).Serve
func serve(server unsafe.Pointer)

//go:linkname runPipeline github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism/internal.RunPipeline
func runPipeline(job unsafe.Pointer)

// buffer is how many bytes a connection in memory holds.
const buffer = 1 << 20

// start makes a server, puts a listener in memory in the place of the port that it
// has opened, and only then has it accept connections: nobody is ever served at the
// port.
func start() (endpoint string, err error) {
	server := newServer(0, runPipeline)
	endpoint = endpointOf(server)
	listener := (*net.Listener)(server) // the server's first field
	port, ok := (*listener).(*net.TCPListener)
	if !ok {
		return "", fmt.Errorf("embedded: prism's server begins with a %T, not with its listener", *listener)
	}
	memory := &inMemory{Listener: bufconn.Listen(buffer), address: "memory:0"}
	*listener = memory
	if got := endpointOf(server); got != "localhost:0" {
		return "", fmt.Errorf("embedded: prism's server is at %s, and took no other listener", got)
	}
	memory.address = port.Addr().String()
	if err := port.Close(); err != nil {
		return "", fmt.Errorf("embedded: closing prism's port: %w", err)
	}
	dial := grpcx.Dial
	grpcx.Dial = func(ctx context.Context, to string, timeout time.Duration) (*grpc.ClientConn, error) {
		if to != endpoint {
			return dial(ctx, to, timeout)
		}
		return memory.dial()
	}
	go serve(server)
	return endpoint, nil
}

// inMemory is a listener at which this process alone can connect.
type inMemory struct {
	*bufconn.Listener
	address string
}

// Addr is the address of the port that the listener stands for: prism names its
// endpoint by it.
func (m *inMemory) Addr() net.Addr { return named(m.address) }

func (m *inMemory) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///prism",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return m.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
}

// named is the address of what has a name alone.
type named string

func (named) Network() string  { return "memory" }
func (n named) String() string { return string(n) }
