package storage

import (
	"fmt"
	"path/filepath"
	"strings"
)

// The object stores, as their paths begin.
const (
	gcsScheme = "gs://"
	s3Scheme  = "s3://"
)

// IsRemote is whether a path is of an object store: gs://bucket/key or s3://bucket/key.
func IsRemote(path string) bool {
	return strings.HasPrefix(path, gcsScheme) || strings.HasPrefix(path, s3Scheme)
}

// split takes a path of an object store apart. A key is taken as it is written: nothing in
// it is an escape, and ".." is a name like any other.
func split(path string) (scheme, bucket, key string, err error) {
	scheme = path[:len(gcsScheme)]
	bucket, key, _ = strings.Cut(path[len(scheme):], "/")
	if bucket == "" {
		return "", "", "", fmt.Errorf("storage: %q names no bucket; write %sbucket/folder", path, scheme)
	}
	if strings.ContainsAny(bucket, "@:") { // which is not repeated: it may be a secret
		return "", "", "", fmt.Errorf("storage: a path of %sbucket/folder has no name, password or port: credentials are read from where the store's own tools find them", scheme)
	}
	return scheme, bucket, key, nil
}

// Join puts names behind the path of a folder.
func Join(folder string, names ...string) string {
	if !IsRemote(folder) {
		return filepath.Join(append([]string{folder}, names...)...)
	}
	for _, name := range names {
		if name != "" {
			folder = strings.TrimSuffix(folder, "/") + "/" + name
		}
	}
	return folder
}

// Dir is the folder that a path lies in; that of a bucket is the bucket.
func Dir(path string) string {
	if !IsRemote(path) {
		return filepath.Dir(path)
	}
	begin := len(gcsScheme)
	path = path[:begin] + strings.TrimSuffix(path[begin:], "/")
	if at := strings.LastIndexByte(path[begin:], '/'); at >= 0 {
		return path[:begin+at]
	}
	return path
}

// Base is the last name of a path.
func Base(path string) string {
	if !IsRemote(path) {
		return filepath.Base(path)
	}
	path = strings.TrimSuffix(path[len(gcsScheme):], "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// Clean is a path without what says nothing in it. That of an object store stands as it
// is, but for an end in "/".
func Clean(path string) string {
	if !IsRemote(path) {
		return filepath.Clean(path)
	}
	return strings.TrimSuffix(path, "/")
}

// Absolute is the path as it is from anywhere on this machine. It fails where one of an
// object store names no bucket.
func Absolute(path string) (string, error) {
	if IsRemote(path) {
		_, _, _, err := split(path)
		return Clean(path), err
	}
	return filepath.Abs(path)
}

// Real is the path without links; object stores have none.
func Real(path string) (string, error) {
	if IsRemote(path) {
		return Clean(path), nil
	}
	return filepath.EvalSymlinks(path)
}
