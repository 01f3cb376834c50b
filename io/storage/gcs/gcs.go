// Package gcs is Google Cloud Storage as storage needs it. Credentials are found by
// Google's default chain; STORAGE_EMULATOR_HOST puts an emulator in its place, which is
// asked without any.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"diffstitch/io/storage/bucket"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
)

const (
	firstWait = 100 * time.Millisecond
	mostWait  = 10 * time.Second
	// chunk is how much of an upload is held in memory, to be sent again if need be.
	chunk = 8 << 20
)

var (
	mutex   sync.Mutex
	clients = map[string]*storage.Client{} // by emulator, "" for Google's own
)

// client is the process's client.
func client(ctx context.Context) (*storage.Client, error) {
	mutex.Lock()
	defer mutex.Unlock()
	emulator := os.Getenv("STORAGE_EMULATOR_HOST")
	if c := clients[emulator]; c != nil {
		return c, nil
	}
	c, err := storage.NewClient(context.WithoutCancel(ctx), storage.WithJSONReads(), option.WithScopes(storage.ScopeReadWrite))
	if err != nil {
		return nil, fmt.Errorf("no access to Google Cloud Storage; run `gcloud auth application-default login`, or say in GOOGLE_APPLICATION_CREDENTIALS where the key lies: %w", err)
	}
	c.SetRetry(
		storage.WithPolicy(storage.RetryAlways), // every write is conditioned, or writes what it wrote before
		storage.WithErrorFunc(func(err error) bool { return storage.ShouldRetry(err) || errors.Is(err, io.EOF) }),
		storage.WithBackoff(gax.Backoff{Initial: firstWait, Max: mostWait, Multiplier: 2}),
	)
	clients[emulator] = c
	return c, nil
}

// Bucket is a bucket of Google Cloud Storage.
type Bucket struct{ handle *storage.BucketHandle }

// Open gives a bucket, of which it is not asked whether it is there.
func Open(ctx context.Context, name string) (*Bucket, error) {
	c, err := client(ctx)
	if err != nil {
		return nil, err
	}
	return &Bucket{c.Bucket(name)}, nil
}

// Stat describes an object.
func (b *Bucket) Stat(ctx context.Context, key string) (bucket.Object, error) {
	attrs, err := b.handle.Object(key).Attrs(ctx)
	if err != nil {
		return bucket.Object{}, told(err)
	}
	return object(attrs), nil
}

func object(attrs *storage.ObjectAttrs) bucket.Object {
	if attrs.Prefix != "" {
		return bucket.Object{Key: attrs.Prefix}
	}
	return bucket.Object{Key: attrs.Name, Size: attrs.Size, Modified: attrs.Updated, Version: strconv.FormatInt(attrs.Generation, 10)}
}

// errGzip is of objects whose parts cannot be read: they are not what is asked for.
var errGzip = errors.New("it is stored with Content-Encoding gzip; upload it without (gcloud storage cp without --gzip-in-flight-all or -Z)")

// Tail gives an object's last bytes, in one request.
func (b *Bucket) Tail(ctx context.Context, key string, bytes int64) (bucket.Object, []byte, error) {
	r, err := b.handle.Object(key).NewRangeReader(ctx, -bytes, -1)
	var answer *googleapi.Error
	if errors.As(err, &answer) && answer.Code == http.StatusRequestedRangeNotSatisfiable { // it is empty
		o, err := b.Stat(ctx, key)
		return o, nil, err
	}
	if err != nil {
		return bucket.Object{}, nil, told(err)
	}
	if r.Attrs.ContentEncoding == "gzip" || r.Attrs.Decompressed {
		return bucket.Object{}, nil, errors.Join(errGzip, r.Close())
	}
	o := bucket.Object{Key: key, Size: r.Attrs.Size, Modified: r.Attrs.LastModified, Version: strconv.FormatInt(r.Attrs.Generation, 10)}
	end, err := io.ReadAll(io.LimitReader(r, bytes))
	if err := told(errors.Join(err, r.Close())); err != nil {
		return o, nil, err
	}
	if whole := min(bytes, o.Size); int64(len(end)) != whole {
		// The answer was cut off, and the client began an object that is smaller than what
		// was asked for anew.
		end = make([]byte, whole)
		return o, end, b.Read(ctx, key, o.Version, end, o.Size-whole)
	}
	return o, end, nil
}

// Read fills p from an offset of a version of an object.
func (b *Bucket) Read(ctx context.Context, key, version string, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	generation, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		return fmt.Errorf("gcs: generation %q: %w", version, err)
	}
	r, err := b.handle.Object(key).Generation(generation).NewRangeReader(ctx, off, int64(len(p)))
	if err != nil {
		if err = told(err); errors.Is(err, fs.ErrNotExist) { // that generation is no longer kept
			err = fmt.Errorf("%w: %v", bucket.ErrChanged, err) // not fs.ErrNotExist: something else may be there
		}
		return err
	}
	_, err = io.ReadFull(r, p)
	return told(errors.Join(err, r.Close()))
}

// Write makes an object of what write writes.
func (b *Bucket) Write(ctx context.Context, key, expected string, write func(io.Writer) error) (string, error) {
	o := b.handle.Object(key)
	switch expected {
	case bucket.Anything:
	case bucket.Nothing:
		o = o.If(storage.Conditions{DoesNotExist: true})
	default:
		generation, err := strconv.ParseInt(expected, 10, 64)
		if err != nil {
			return "", fmt.Errorf("gcs: generation %q: %w", expected, err)
		}
		o = o.If(storage.Conditions{GenerationMatch: generation})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // which discards what was not closed
	w := o.NewWriter(ctx)
	w.ChunkSize = chunk
	sum := crc32.New(castagnoli)
	if err := write(io.MultiWriter(w, sum)); err != nil {
		return "", told(err)
	}
	if err := w.Close(); err != nil {
		return "", told(err)
	}
	if attrs := w.Attrs(); attrs.CRC32C != sum.Sum32() {
		return "", fmt.Errorf("gcs: %d bytes of another checksum arrived", attrs.Size)
	}
	return strconv.FormatInt(w.Attrs().Generation, 10), nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// List gives the objects whose keys begin with a prefix.
func (b *Bucket) List(ctx context.Context, prefix string, oneLevel bool) iter.Seq2[bucket.Object, error] {
	query := &storage.Query{Prefix: prefix}
	if oneLevel {
		query.Delimiter = "/"
	}
	return func(yield func(bucket.Object, error) bool) {
		err := query.SetAttrSelection([]string{"Name", "Size", "Updated", "Generation"})
		objects := b.handle.Objects(ctx, query)
		for err == nil {
			var attrs *storage.ObjectAttrs
			if attrs, err = objects.Next(); err == nil && !yield(object(attrs), nil) {
				return
			}
		}
		if !errors.Is(err, iterator.Done) {
			yield(bucket.Object{}, told(err))
		}
	}
}

// Delete removes an object.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	err := told(b.handle.Object(key).Delete(ctx))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// told is an error in the terms of bucket.
func told(err error) error {
	if err == nil {
		return nil
	}
	kind := error(nil)
	var answer *googleapi.Error
	switch {
	case errors.Is(err, storage.ErrObjectNotExist):
		kind = fs.ErrNotExist
	case errors.Is(err, storage.ErrBucketNotExist):
		return fmt.Errorf("there is no such bucket: %w: %w", fs.ErrNotExist, err)
	case !errors.As(err, &answer):
		return err
	case answer.Code == http.StatusPreconditionFailed:
		kind = bucket.ErrChanged
	case answer.Code == http.StatusUnauthorized || answer.Code == http.StatusForbidden:
		kind = fs.ErrPermission
	case answer.Code == http.StatusNotFound:
		kind = fs.ErrNotExist
	default:
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}
