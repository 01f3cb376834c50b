// Package storage opens files and writes them whole, lists folders and removes them.
// Storage behind a network errs and hangs now and then: what is read is read again, and
// an operation that gets no answer within a limit of time fails.
//
// Paths are those of this machine, mounts included, or of an object store:
// gs://bucket/key and s3://bucket/key. There a folder is what keys begin with. It is there
// as long as something is in it, and its objects appear and go one by one.
package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"diffstitch/io/fault"
)

// patience is how long one operation on a file may take: far longer than slow
// storage needs for a page, and short enough that a job does not hang unseen.
// What is given up goes on in the background until the system answers.
var patience = fault.Limit(2 * time.Minute)

// A read is tried so often, after waits that grow by a factor.
const (
	tries      = 3
	firstWait  = 100 * time.Millisecond
	waitGrowth = 10
)

// File is a file that is open for reading. Its methods may be called
// concurrently.
type File struct {
	source
	path string
	info fs.FileInfo
}

// source is what a file is read from. It reads as io.ReaderAt says, and tries again what
// may go better.
type source interface {
	io.ReaderAt
	io.Closer
}

// Open opens a file. Of an object store it is read in the version that it has now: once it
// is replaced or removed, reading fails.
func Open(path string) (*File, error) {
	if IsRemote(path) {
		return openRemote(path)
	}
	f := &File{path: path}
	err := Again(func() error {
		opened, err := within("open", path, func() (*File, error) { return open(path) })
		if err == nil {
			f = opened
		}
		return err
	})
	return f, err
}

func open(path string) (*File, error) {
	handle, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // which does not wait at a pipe
	if err != nil {
		return nil, err
	}
	info, err := handle.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	if err != nil {
		return nil, errors.Join(err, handle.Close())
	}
	return &File{local{handle, path}, path, info}, nil
}

// errNotRegular is of pipes, devices and sockets, whose size says nothing and which may
// never end.
var errNotRegular = errors.New("it is no regular file")

// Info is what the file was when it was opened.
func (f *File) Info() fs.FileInfo { return f.info }

// Size of the file when it was opened, in bytes.
func (f *File) Size() int64 { return f.info.Size() }

// Reader reads the file from its start.
func (f *File) Reader() io.Reader { return io.NewSectionReader(f, 0, f.Size()) }

// local is a file of this machine.
type local struct {
	*os.File
	path string
}

// buffers are what reads go to, so that one that was given up does not write
// into memory that has another use by then.
var buffers sync.Pool

// ReadAt reads within the limit of time.
func (f local) ReadAt(p []byte, off int64) (n int, err error) {
	err = Again(func() error {
		n, err = f.readAt(p, off)
		return err
	})
	return n, err
}

func (f local) readAt(p []byte, off int64) (int, error) {
	buffer, _ := buffers.Get().(*[]byte)
	if buffer == nil || cap(*buffer) < len(p) {
		buffer = new([]byte)
		*buffer = make([]byte, len(p))
	}
	own := (*buffer)[:len(p)]
	n, err := within("read", f.path, func() (int, error) { return f.File.ReadAt(own, off) })
	copy(p, own[:n])
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		buffers.Put(buffer)
	}
	return n, err
}

// Again does work again, so often, where another try may go better: reading, or writing a
// file whole.
func Again(work func() error) error {
	wait := firstWait
	for try := 1; ; try++ {
		err := work()
		if err == nil || try == tries || errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errNotRegular) || errors.Is(err, fs.ErrClosed) || errors.Is(err, ErrChanged) || errors.Is(err, fs.ErrExist) {
			return err
		}
		time.Sleep(wait)
		wait *= waitGrowth
	}
}

// within gives what an operation on a file comes to, or an error when there is
// no answer in time.
func within[T any](op, path string, do func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		if a.err = fault.At(op, filepath.Base(path)); a.err == nil {
			a.value, a.err = do()
		}
		answers <- a
	}()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-limit.C:
		var none T
		return none, &fs.PathError{Op: op, Path: path, Err: fmt.Errorf("no answer in %v: %w", patience, os.ErrDeadlineExceeded)}
	}
}
