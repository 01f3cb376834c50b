package observe

import (
	"context"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
)

// beginningHook tells of workers that begin in this process.
const beginningHook = "diffstitch_beginning"

func init() {
	hooks.RegisterHook(beginningHook, func([]string) hooks.Hook {
		return hooks.Hook{Init: func(ctx context.Context) (context.Context, error) {
			begin(ctx)
			return ctx, nil
		}}
	})
	if err := hooks.EnableHook(beginningHook); err != nil {
		panic(err) // registered above
	}
}

const (
	// beginPatience bounds the wait for a worker that may never begin.
	beginPatience = 10 * time.Second
	// beginSettling is for the answer to whoever asked for the worker.
	beginSettling = 100 * time.Millisecond
)

type begunKey struct{}

// begin tells that a worker has begun, whose context descends from the runner's.
func begin(ctx context.Context) {
	if tell, ok := ctx.Value(begunKey{}).(func()); ok {
		tell()
	}
}

// UntilBegun is ctx for a runner that starts its worker in this process. When
// ctx ends earlier, the runner learns of it once the worker has begun: prism
// takes the whole process down if the worker it is about to start is gone.
func UntilBegun(ctx context.Context) (held context.Context, release func()) {
	begun := make(chan struct{})
	tell := sync.OnceFunc(func() { close(begun) })
	held, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), begunKey{}, tell))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-held.Done():
			return
		case <-begun:
			time.Sleep(beginSettling)
		case <-time.After(beginPatience):
		}
		cancel()
	})
	return held, func() { stop(); cancel() }
}
