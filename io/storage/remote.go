package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"diffstitch/io/storage/bucket"
	"diffstitch/io/storage/gcs"
	"diffstitch/io/storage/s3"
)

// object is a key of a bucket, at which there may be an object, a folder or nothing.
type object struct {
	bucket.Bucket
	key string
}

func locate(ctx context.Context, path string) (o object, err error) {
	scheme, name, key, err := split(path)
	if err != nil {
		return o, err
	}
	o.key = key
	if scheme == s3Scheme {
		o.Bucket, err = s3.Open(ctx, name)
	} else {
		o.Bucket, err = gcs.Open(ctx, name)
	}
	return o, err
}

// prefix begins the keys of what lies in the folder.
func (o object) prefix() string {
	if o.key == "" || strings.HasSuffix(o.key, "/") {
		return o.key
	}
	return o.key + "/"
}

// ask has an object store asked for something, within the limit of time.
func ask[T any](op, path string, do func(ctx context.Context, o object) (T, error)) (T, error) {
	return within(op, path, func() (value T, err error) {
		ctx, cancel := context.WithTimeoutCause(context.Background(), patience, os.ErrDeadlineExceeded)
		defer cancel()
		o, err := locate(ctx, path)
		if err == nil {
			value, err = do(ctx, o)
		}
		return value, pathError(ctx, op, path, err)
	})
}

// pathError says of an error of an object store where it was.
func pathError(ctx context.Context, op, path string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if errors.Is(context.Cause(ctx), os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no answer in %v: %w: %w", patience, os.ErrDeadlineExceeded, err)
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// info is an object, or a folder, as a file.
type info struct {
	name string
	of   bucket.Object
	dir  bool
}

func (i info) Name() string               { return i.name }
func (i info) Size() int64                { return i.of.Size }
func (i info) ModTime() time.Time         { return i.of.Modified }
func (i info) IsDir() bool                { return i.dir }
func (i info) Type() fs.FileMode          { return i.Mode().Type() }
func (i info) Info() (fs.FileInfo, error) { return i, nil }

// Sys is the version of an object.
func (i info) Sys() any { return i.of.Version }

func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// statRemote describes an object, or a folder: what keys begin with.
func statRemote(path string) (fs.FileInfo, error) {
	return ask("stat", path, func(ctx context.Context, o object) (fs.FileInfo, error) {
		if o.key != "" && !strings.HasSuffix(o.key, "/") {
			found, err := o.Stat(ctx, o.key)
			if !errors.Is(err, fs.ErrNotExist) {
				return info{name: Base(path), of: found}, err
			}
		}
		for _, err := range o.List(ctx, o.prefix(), true) {
			return info{name: Base(path), dir: true}, err
		}
		return nil, fs.ErrNotExist
	})
}

// readDirRemote lists a folder.
func readDirRemote(path string) ([]fs.DirEntry, error) {
	return ask("list", path, func(ctx context.Context, o object) (entries []fs.DirEntry, err error) {
		prefix, seen := o.prefix(), false
		for found, err := range o.List(ctx, prefix, true) {
			if err != nil {
				return nil, err
			}
			seen = true
			name, isFolder := strings.CutSuffix(found.Key[len(prefix):], "/")
			if name != "" { // else it is what some tools make of an empty folder
				entries = append(entries, info{name: name, of: found, dir: isFolder})
			}
		}
		if !seen {
			return nil, fs.ErrNotExist
		}
		return entries, nil
	})
}

// writeRemote makes an object of what write writes. Each step of it has the limit of time
// for itself, since there may be many of them.
func writeRemote(path, expected string, write func(io.Writer) error) (version string, err error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	o, err := within("create", path, func() (object, error) { return locate(ctx, path) })
	if err != nil {
		return "", pathError(ctx, "create", path, err)
	}
	if o.key == "" || strings.HasSuffix(o.key, "/") {
		return "", &fs.PathError{Op: "create", Path: path, Err: errors.New("it names a folder, not a file")}
	}
	watch := time.AfterFunc(patience, func() { cancel(os.ErrDeadlineExceeded) })
	defer watch.Stop()
	version, err = o.Write(ctx, o.key, expected, func(out io.Writer) error {
		watch.Stop()
		err := write(&watched{out, path, watch})
		watch.Reset(patience)
		if err == nil {
			err = act("finish", path, func() error { return nil })
		}
		return err
	})
	return version, pathError(ctx, "write", path, err)
}

// watched writes within the limit of time.
type watched struct {
	out   io.Writer
	path  string
	watch *time.Timer
}

func (w *watched) Write(p []byte) (int, error) {
	if err := act("write", w.path, func() error { return nil }); err != nil {
		return 0, err
	}
	w.watch.Reset(patience)
	defer w.watch.Stop()
	return w.out.Write(p)
}

// walkRemote hands out the objects below a folder, in the order of their keys.
func walkRemote(path string, use func(path string, i fs.FileInfo) error) error {
	return eachBelow(path, func(_ context.Context, o object, found bucket.Object) error {
		name := found.Key[len(o.prefix()):]
		if name == "" || strings.HasSuffix(name, "/") {
			return nil
		}
		return use(Join(path, name), info{name: Base(name), of: found})
	})
}

// eachBelow hands out what is below a folder. A page of the list has the limit of time for
// itself.
func eachBelow(path string, use func(context.Context, object, bucket.Object) error) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	o, err := within("list", path, func() (object, error) { return locate(ctx, path) })
	if err != nil {
		return pathError(ctx, "list", path, err)
	}
	watch := time.AfterFunc(patience, func() { cancel(os.ErrDeadlineExceeded) })
	defer watch.Stop()
	for found, err := range o.List(ctx, o.prefix(), false) {
		watch.Stop()
		if err != nil {
			return pathError(ctx, "list", path, err)
		}
		if err := use(ctx, o, found); err != nil {
			return err
		}
		watch.Reset(patience)
	}
	return nil
}
