package storage

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// impatient gives up soon, for the length of a test.
func impatient(t *testing.T) {
	before := patience
	patience = 20 * time.Millisecond
	t.Cleanup(func() { patience = before })
}

func TestReadsWhatWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want := bytes.Repeat([]byte("states and actions "), 9_000)
	if err := WriteWhole(path, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(want))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f.Reader())
	if err != nil || !bytes.Equal(got, want) || f.Size() != int64(len(want)) {
		t.Errorf("%d bytes of %d, size %d: %v", len(got), len(want), f.Size(), err)
	}
	if n, err := f.ReadAt(make([]byte, 10), f.Size()-4); n != 4 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes at the end: %v", n, err)
	}
}

func TestNoAnswerIsAnError(t *testing.T) {
	impatient(t)
	silent := make(chan struct{})
	defer close(silent)
	_, err := within("read", "/far/away.parquet", func() (int, error) { <-silent; return 0, nil })
	if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "read /far/away.parquet: no answer in 20ms") {
		t.Errorf("error %v", err)
	}
}

// TestAPipeIsRefused: it is not waited for, though nobody writes to it.
func TestAPipeIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	if _, err := Open(path); !errors.Is(err, errNotRegular) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

func TestReadsAreTriedAgain(t *testing.T) {
	tests := []struct {
		name  string
		err   error
		tried int
	}{
		{"an error of the device", syscall.EIO, 2},
		{"the file's end", io.EOF, 1},
		{"no such file", fs.ErrNotExist, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tried := 0
			err := Again(func() error {
				if tried++; tried == 1 {
					return test.err
				}
				return nil
			})
			if tried != test.tried || (err == nil) != (test.tried > 1) {
				t.Errorf("tried %d times: %v", tried, err)
			}
		})
	}
}
