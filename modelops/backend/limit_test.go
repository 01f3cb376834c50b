package backend_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gomlx/compute"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
)

// device is a backend that runs nothing.
type device struct{ compute.Backend }

func (*device) String() string { return "device" }

func TestAcquireLimitsADevice(t *testing.T) {
	for name, test := range map[string]struct {
		engine compute.Backend
		asked  int
		limit  int
	}{
		"one":     {&device{}, 1, 1},
		"unset":   {&device{}, 0, 1},
		"three":   {&device{}, 3, 3},
		"pure Go": {backendtest.Open(t, backend.Go), 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var inside atomic.Int64
			var all, first sync.WaitGroup
			first.Add(test.limit)
			for i := range 12 {
				all.Go(func() {
					release := backend.Acquire(test.engine, test.asked)
					defer release()
					if now := inside.Add(1); now > int64(test.limit) {
						t.Errorf("%d at once, want at most %d", now, test.limit)
					}
					if i < test.limit { // these meet inside, if so many may be there
						first.Done()
						first.Wait()
					}
					inside.Add(-1)
				})
				if i == test.limit-1 {
					first.Wait()
				}
			}
			all.Wait()
		})
	}
}
