package engine

import (
	"context"
	"strings"
	"testing"
)

func TestLeaseEndsTheWork(t *testing.T) {
	dir := t.TempDir()
	wanted, err := TakeLease(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, release := wanted.Hold(t.Context())
	defer release()
	wanted.End()
	<-ctx.Done()
	if cause := context.Cause(ctx); cause == nil || !strings.Contains(cause.Error(), dir) {
		t.Errorf("cause %v, want one that names %q", cause, dir)
	}
}

func TestNextLeaseEndsTheLast(t *testing.T) {
	dir := t.TempDir()
	last, err := TakeLease(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, release := last.Hold(t.Context())
	defer release()
	next, err := TakeLease(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer next.End()
	after, release := next.Hold(t.Context())
	defer release()
	<-before.Done()
	if err := after.Err(); err != nil {
		t.Error("the next lease ended too:", err)
	}
}
