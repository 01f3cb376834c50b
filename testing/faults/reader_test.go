package faults

import (
	"errors"
	"sync"
	"testing"
	"time"

	"diffstitch/io/snapshot"
)

// reading reads what a folder has published, over and over, and compares each file with
// its hash.
type reading struct {
	over          chan struct{}
	done          sync.WaitGroup
	reads, broken int
}

func read(t *testing.T, out string) *reading {
	r := &reading{over: make(chan struct{})}
	r.done.Go(func() {
		for {
			select {
			case <-r.over:
				return
			case <-time.After(20 * time.Millisecond): // not all of this machine is the reader's
			}
			s, err := snapshot.Current(out)
			if errors.Is(err, snapshot.ErrNoSnapshot) {
				continue
			}
			if err == nil {
				err = s.Check(true)
			}
			r.reads++
			if err != nil {
				r.broken++
				t.Errorf("a reader sees %q: %v", s.ID, err)
			}
		}
	})
	t.Cleanup(func() { r.end(nil) })
	return r
}

// end ends the reading, and adds it to a line of the table.
func (r *reading) end(l *tally) {
	select {
	case <-r.over:
		return
	default:
	}
	close(r.over)
	r.done.Wait()
	if l != nil {
		l.reads, l.broken = l.reads+r.reads, l.broken+r.broken
	}
}
