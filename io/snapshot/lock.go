package snapshot

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"diffstitch/io/storage"
)

const lockName = "lock"

// holder is written into the lock file, to tell whoever is kept out.
type holder struct {
	Run   string    `json:"run"`
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	// These are of object stores alone: whose claim it is, how often its run said that it
	// lives, and what another run on the same machine can see whether it does by.
	Token   string   `json:"token,omitempty"`
	Beat    int      `json:"beat,omitempty"`
	Process *process `json:"process,omitempty"`
}

func newHolder(run string, since time.Time) holder {
	host, _ := os.Hostname() // only for people to read
	return holder{Run: run, Host: host, PID: os.Getpid(), Since: since}
}

// acquire takes the kernel's lock on a file, which ends with the process that
// holds it: a killed run leaves the file but not the lock, so nothing has to be
// judged stale by a pid that may have been given away again.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("snapshot: output folder is not writable: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		raw, _ := io.ReadAll(f) // whoever it is
		err = fmt.Errorf("%w: %s", ErrLocked, tell(raw))
	}
	return nil, errors.Join(fmt.Errorf("snapshot: locking %q: %w", path, err), f.Close())
}

func describe(f *os.File, h holder) error {
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(raw, 0)
	return err
}

// tell is who holds what, in words.
func tell(raw []byte) string {
	var h holder
	if json.Unmarshal(raw, &h) != nil {
		return "a run that has just begun"
	}
	return fmt.Sprintf("run %s (process %d on %s, since %s)", h.Run, h.PID, h.Host, h.Since.Format(time.RFC3339))
}

// Lock takes a lock file for one run, which is told to whoever is kept out by
// ErrLocked.
func Lock(path, run string) (release func(), err error) {
	h := newHolder(run, time.Now())
	if storage.IsRemote(path) {
		c, err := takeClaim(path, h)
		if err != nil {
			return nil, err
		}
		return func() { _ = c.release() }, nil // what stays is taken for dead soon
	}
	f, err := acquire(path)
	if err != nil {
		return nil, err
	}
	if err := describe(f, h); err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot: writing %q: %w", path, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// A claim is renewed so often, and taken for a dead run's when it was not for so long.
// Variables, so that tests need not wait.
var (
	heartbeat = time.Minute
	dead      = 10 * time.Minute
)

// maxClaim bounds what is read of a claim, in bytes.
const maxClaim = 4096

// claim is a lock on an object store: an object that only one run can make, and that it
// renews for as long as it lives.
type claim struct {
	path string
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	holder  holder
	version storage.Version
	lost    error // why it is no longer this run's
}

// takeClaim makes a claim, or takes over that of a run that is dead. It fails with
// ErrLocked where another run lives.
func takeClaim(path string, h holder) (*claim, error) {
	h.Token, h.Process = rand.Text(), self()
	c := &claim{path: path, holder: h, stop: make(chan struct{})}
	before, was, err := storage.Load(path, maxClaim)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("snapshot: claiming %q: %w", path, err)
	default:
		gone, err := isDead(path, before)
		if err != nil {
			return nil, fmt.Errorf("snapshot: claiming %q: %w", path, err)
		}
		if !gone {
			return nil, fmt.Errorf("snapshot: claiming %q: %w: %s", path, ErrLocked, tell(before))
		}
	}
	if c.version, err = c.write(was); errors.Is(err, storage.ErrChanged) {
		return nil, fmt.Errorf("snapshot: claiming %q: %w: another was faster", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot: claiming %q: %w", path, err)
	}
	c.done.Go(c.live)
	return c, nil
}

func (c *claim) write(was storage.Version) (storage.Version, error) {
	raw, err := json.Marshal(c.holder)
	if err != nil {
		return was, err
	}
	return storage.Replace(c.path, raw, was)
}

// live renews the claim until it is released or lost.
func (c *claim) live() {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-ticker.C:
		}
		if errors.Is(c.renew(), storage.ErrChanged) {
			return
		}
	}
}

// renew says that the run lives. It fails where the run was taken for dead.
func (c *claim) renew() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		return c.lost
	}
	c.holder.Beat++
	version, err := c.write(c.version)
	switch {
	case err == nil:
		c.version = version
	case errors.Is(err, storage.ErrChanged):
		c.lost = fmt.Errorf("snapshot: this run gave no sign of life for %v and was taken for dead: run again: %w", dead, err)
		return c.lost
	}
	return err
}

// release gives the claim up, if it is this run's still.
func (c *claim) release() error {
	close(c.stop)
	c.done.Wait()
	if raw, _, err := storage.Load(c.path, maxClaim); err != nil || !bytes.Contains(raw, []byte(c.holder.Token)) {
		return nil
	}
	return storage.Remove(c.path)
}

// isDead is whether the process that wrote a claim ended, or nobody renewed it for long, by
// the clock of the store.
func isDead(path string, claim []byte) (bool, error) {
	if hasEnded(claim) {
		return true, nil
	}
	info, err := storage.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	probe := path + "-clock-" + rand.Text()
	if err := storage.WriteWhole(probe, func(io.Writer) error { return nil }); err != nil {
		return false, err
	}
	now, err := storage.Stat(probe)
	if err := errors.Join(err, storage.Remove(probe)); err != nil {
		return false, err
	}
	return now.ModTime().Sub(info.ModTime()) > dead, nil
}
