// Package bucket says what storage asks of an object store. An object appears whole or
// not at all, and what a reader sees of it is one version.
package bucket

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Object is an object, or the common start of the keys of several, which ends in "/".
type Object struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
	// Version tells contents of the same key apart.
	Version string
}

// What may be at a key for a write to take place: anything, nothing, or else a version.
const (
	Anything = "*"
	Nothing  = ""
)

// ErrChanged is in the chain of errors that say that an object is not of the version that
// was asked for, or that there is one where none was to be.
var ErrChanged = errors.New("it was changed in the meantime")

// Bucket is a bucket of an object store. Its methods may be called concurrently; they try
// again what may go better, and fail when the context ends. An object that is not there is
// fs.ErrNotExist, one that may not be touched fs.ErrPermission.
type Bucket interface {
	// Stat describes an object.
	Stat(ctx context.Context, key string) (Object, error)
	// Tail gives an object's last bytes, so many or all.
	Tail(ctx context.Context, key string, bytes int64) (Object, []byte, error)
	// Read fills p from an offset on, out of one version of an object.
	Read(ctx context.Context, key, version string, p []byte, off int64) error
	// Write makes an object of what write writes, where the key has what is expected: a
	// version, Nothing or Anything. A condition on an object larger than a part of an
	// upload is checked when its end is written.
	Write(ctx context.Context, key, expected string, write func(io.Writer) error) (version string, err error)
	// List gives the objects whose keys begin with a prefix, in the order of their keys;
	// with one level, what lies deeper is given as the common start of its keys.
	List(ctx context.Context, prefix string, oneLevel bool) iter.Seq2[Object, error]
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}
