package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
)

// Pool starts workers in this process when a runner asks for them: Beam's worker
// pool service.
type Pool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer

	// Address is where the runner finds it, as --environment_config names it.
	Address string

	server *grpc.Server
	root   context.Context // of all workers
	cancel context.CancelFunc

	mu      sync.Mutex
	workers map[string]context.CancelFunc // nil once the pool has stopped
}

// NewPool opens a pool, to a runner in this process or to those of this user. The
// workers' contexts descend from ctx.
func NewPool(ctx context.Context, inProcess bool) (*Pool, error) {
	listen := listenToUser
	if inProcess {
		listen = listenToProcess
	}
	listener, address, err := listen()
	if err != nil {
		return nil, fmt.Errorf("embedded: opening the worker pool: %w", err)
	}
	p := &Pool{Address: address, server: grpc.NewServer(), workers: map[string]context.CancelFunc{}}
	p.root, p.cancel = context.WithCancel(ctx)
	fnpb.RegisterBeamFnExternalWorkerPoolServer(p.server, p)
	go func() {
		if err := p.server.Serve(listener); err != nil {
			slog.ErrorContext(ctx, "the worker pool is gone", "error", err)
		}
	}()
	return p, nil
}

// StartWorker starts a worker.
func (p *Pool) StartWorker(_ context.Context, request *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	id := request.GetWorkerId()
	refuse := func(why string) (*fnpb.StartWorkerResponse, error) {
		return &fnpb.StartWorkerResponse{Error: fmt.Sprintf("worker %q: %s", id, why)}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch _, there := p.workers[id]; {
	case p.workers == nil:
		return refuse("the pool has stopped")
	case there:
		return refuse("it is there already")
	case request.GetControlEndpoint() == nil || request.GetLoggingEndpoint() == nil:
		return refuse("no control endpoint, or no logging endpoint")
	}
	ctx, cancel := context.WithCancel(grpcx.WriteWorkerID(p.root, id))
	p.workers[id] = cancel
	options := optionsOf(ctx, request.GetProvisionEndpoint().GetUrl())
	go func() {
		err := harness.MainWithOptions(ctx, request.GetLoggingEndpoint().GetUrl(), request.GetControlEndpoint().GetUrl(), options)
		if err != nil && ctx.Err() == nil {
			slog.ErrorContext(ctx, "a worker ended", "worker", id, "error", err)
		}
	}()
	return &fnpb.StartWorkerResponse{}, nil
}

// optionsOf are what the runner says of itself; where it does not, the worker does
// without.
func optionsOf(ctx context.Context, provision string) (options harness.Options) {
	if provision == "" {
		return options
	}
	info, err := tools.ProvisionInfo(ctx, provision)
	if err != nil {
		slog.DebugContext(ctx, "the runner does not say what it can do", "error", err)
		return options
	}
	return harness.Options{StatusEndpoint: info.GetStatusEndpoint().GetUrl(), RunnerCapabilities: info.GetRunnerCapabilities()}
}

// StopWorker ends a worker.
func (p *Pool) StopWorker(_ context.Context, request *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers == nil {
		return &fnpb.StopWorkerResponse{}, nil
	}
	cancel, there := p.workers[request.GetWorkerId()]
	if !there {
		return &fnpb.StopWorkerResponse{Error: fmt.Sprintf("no worker %q runs", request.GetWorkerId())}, nil
	}
	cancel()
	delete(p.workers, request.GetWorkerId())
	return &fnpb.StopWorkerResponse{}, nil
}

// Stop ends the pool and its workers.
func (p *Pool) Stop() {
	p.mu.Lock()
	p.workers = nil
	p.cancel()
	p.mu.Unlock()
	p.server.GracefulStop() // waits for calls, which take the lock
}

// onlyThose is a listener that closes connections of others at once.
type onlyThose struct {
	net.Listener
	ours func(net.Conn) error
}

func (l onlyThose) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		why := l.ours(conn)
		if why == nil {
			return conn, nil
		}
		slog.Warn("a connection to the worker pool was refused", "peer", conn.RemoteAddr(), "reason", why)
		_ = conn.Close() // nothing was said
	}
}
