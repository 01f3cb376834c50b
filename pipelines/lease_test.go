package pipelines

import (
	"context"
	"strings"
	"testing"
)

func TestLeaseEndsTheWork(t *testing.T) {
	dir := t.TempDir()
	wanted, err := takeLease(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, release := wanted.hold(t.Context())
	defer release()
	wanted.end()
	<-ctx.Done()
	if cause := context.Cause(ctx); cause == nil || !strings.Contains(cause.Error(), dir) {
		t.Errorf("cause %v, want one that names %q", cause, dir)
	}
}

func TestNextLeaseEndsTheLast(t *testing.T) {
	dir := t.TempDir()
	last, err := takeLease(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, release := last.hold(t.Context())
	defer release()
	next, err := takeLease(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer next.end()
	after, release := next.hold(t.Context())
	defer release()
	<-before.Done()
	if err := after.Err(); err != nil {
		t.Error("the next lease ended too:", err)
	}
}
