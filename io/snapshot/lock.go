package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

const lockName = "lock"

// holder is written into the lock file, to tell whoever is kept out.
type holder struct {
	Run   string    `json:"run"`
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
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
		err = fmt.Errorf("%w: %s", ErrLocked, readHolder(f))
	}
	return nil, errors.Join(fmt.Errorf("snapshot: locking %q: %w", path, err), f.Close())
}

func describe(f *os.File, h holder) error {
	h.PID = os.Getpid()
	h.Host, _ = os.Hostname() // only for people to read
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

func readHolder(f *os.File) string {
	raw, err := io.ReadAll(f)
	var h holder
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return "a run that has just begun"
	}
	return fmt.Sprintf("run %s (process %d on %s, since %s)", h.Run, h.PID, h.Host, h.Since.Format(time.RFC3339))
}

// Lock takes a lock file for one run, which is told to whoever is kept out by
// ErrLocked.
func Lock(path, run string) (release func(), err error) {
	f, err := acquire(path)
	if err != nil {
		return nil, err
	}
	if err := describe(f, holder{Run: run, Since: time.Now()}); err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot: writing %q: %w", path, err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing gives up the lock, and nothing is lost if it fails
}
