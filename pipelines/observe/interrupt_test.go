package observe

import (
	"context"
	"testing"
)

// TestUntilBegun: an interruption waits for the worker, whose context descends
// from the runner's.
func TestUntilBegun(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	held, release := UntilBegun(ctx)
	defer release()
	interrupt()
	if held.Err() != nil {
		t.Fatal("the runner was interrupted before its worker began")
	}
	worker, stop := context.WithCancel(held)
	defer stop()
	begin(worker)
	<-held.Done()
}

func TestUntilBegunIsReleased(t *testing.T) {
	held, release := UntilBegun(t.Context())
	release()
	if held.Err() == nil {
		t.Error("the context goes on")
	}
}
