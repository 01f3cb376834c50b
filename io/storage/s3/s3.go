// Package s3 is Amazon S3, and what speaks like it, as storage needs it. Credentials, the
// region and AWS_ENDPOINT_URL are found by the SDK's default chain.
package s3

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"diffstitch/io/storage/bucket"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	tries     = 8
	firstWait = 100 * time.Millisecond
	mostWait  = 10 * time.Second
	// part is how much of an upload is held in memory, twice, to be sent again if need be.
	part = 8 << 20
	// aborting is how long the parts of an upload that failed are tried to be removed.
	aborting = 10 * time.Second
)

var (
	mutex   sync.Mutex
	clients = map[string]*s3.Client{} // by endpoint, "" for Amazon's own
)

// client is the process's client.
func client(ctx context.Context) (*s3.Client, error) {
	mutex.Lock()
	defer mutex.Unlock()
	endpoint := os.Getenv("AWS_ENDPOINT_URL_S3") + os.Getenv("AWS_ENDPOINT_URL")
	if c := clients[endpoint]; c != nil {
		return c, nil
	}
	settings, err := config.LoadDefaultConfig(context.WithoutCancel(ctx), config.WithRetryer(retryer), config.WithDefaultRegion("us-east-1"))
	if err != nil {
		return nil, fmt.Errorf("no access to S3; see AWS_PROFILE and AWS_ACCESS_KEY_ID: %w", err)
	}
	c := s3.NewFromConfig(settings, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil // bucket.localhost is nowhere
	})
	clients[endpoint] = c
	return c, nil
}

// retryer tries again after waits that grow, with jitter.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.Backoff = tries, retry.BackoffDelayerFunc(backoff)
		o.RateLimiter = unlimited{} // which else gives up when many requests fail at once
		o.Retryables = append(o.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{
			http.StatusRequestTimeout: {}, http.StatusTooManyRequests: {},
		}}, retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			if errors.Is(err, io.ErrUnexpectedEOF) { // of a list, say, that was cut off
				return aws.TrueTernary
			}
			return aws.UnknownTernary
		}))
	})
}

// backoff is how long to wait before an attempt.
func backoff(attempt int, _ error) (time.Duration, error) {
	wait := min(firstWait<<min(attempt, tries), mostWait)
	return wait/2 + rand.N(wait/2), nil
}

type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }

// Bucket is a bucket of S3.
type Bucket struct {
	client *s3.Client
	upload *transfermanager.Client
	name   string
}

// Open gives a bucket, of which it is not asked whether it is there.
func Open(ctx context.Context, name string) (*Bucket, error) {
	c, err := client(ctx)
	if err != nil {
		return nil, err
	}
	upload := transfermanager.New(c, func(o *transfermanager.Options) {
		o.PartSizeBytes, o.MultipartUploadThreshold, o.Concurrency, o.FailTimeout = part, part, 1, aborting
	})
	return &Bucket{c, upload, name}, nil
}

// Stat describes an object.
func (b *Bucket) Stat(ctx context.Context, key string) (bucket.Object, error) {
	head, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return bucket.Object{}, told(err)
	}
	return bucket.Object{Key: key, Size: aws.ToInt64(head.ContentLength), Modified: aws.ToTime(head.LastModified), Version: aws.ToString(head.ETag)}, nil
}

// Tail gives an object's last bytes.
func (b *Bucket) Tail(ctx context.Context, key string, bytes int64) (bucket.Object, []byte, error) {
	got, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key, Range: aws.String(fmt.Sprintf("bytes=-%d", bytes))})
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable { // it is empty
		o, err := b.Stat(ctx, key)
		return o, nil, err
	}
	if err != nil {
		return bucket.Object{}, nil, told(err)
	}
	o := bucket.Object{Key: key, Modified: aws.ToTime(got.LastModified), Version: aws.ToString(got.ETag)}
	end, err := io.ReadAll(io.LimitReader(got.Body, bytes))
	if err := errors.Join(err, got.Body.Close()); err != nil && !cutOff(err) {
		return o, nil, told(err)
	}
	if o.Size, err = totalOf(got); err != nil {
		return o, nil, err
	}
	whole, n := min(bytes, o.Size), int64(len(end))
	if n < whole {
		end = append(end, make([]byte, whole-n)...)
		err = b.Read(ctx, key, o.Version, end[n:], o.Size-whole+n)
	}
	return o, end[:whole], err
}

// totalOf is the size of the object that an answer has a part of.
func totalOf(got *s3.GetObjectOutput) (int64, error) {
	_, total, ranged := strings.Cut(aws.ToString(got.ContentRange), "/")
	if !ranged && got.ContentLength != nil {
		return *got.ContentLength, nil // all of it
	}
	size, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("s3: the range %q was given, which says no size", aws.ToString(got.ContentRange))
	}
	return size, nil
}

// Read fills p from an offset of a version of an object. Where an answer is cut off, what
// is left is asked for.
func (b *Bucket) Read(ctx context.Context, key, version string, p []byte, off int64) error {
	for try := 1; len(p) > 0; try++ {
		n, err := b.read(ctx, key, version, p, off)
		p, off = p[n:], off+int64(n)
		if err != nil && (!cutOff(err) || try == tries) {
			return told(err)
		}
		if err != nil {
			wait, _ := backoff(try, err) // it never fails
			select {
			case <-ctx.Done():
				return told(err)
			case <-time.After(wait):
			}
		}
	}
	return nil
}

func (b *Bucket) read(ctx context.Context, key, version string, p []byte, off int64) (int, error) {
	got, err := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.name, Key: &key, IfMatch: &version, Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)),
	})
	if err != nil {
		return 0, err
	}
	if etag := aws.ToString(got.ETag); etag != version { // stores there are that don't know the condition
		return 0, errors.Join(fmt.Errorf("%w: its ETag is %s, not %s", bucket.ErrChanged, etag, version), got.Body.Close())
	}
	n, err := io.ReadFull(got.Body, p)
	return n, errors.Join(err, got.Body.Close())
}

// cutOff is whether an answer ended before its end.
func cutOff(err error) bool {
	var network net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.As(err, &network)
}

// Write makes an object of what write writes.
func (b *Bucket) Write(ctx context.Context, key, expected string, write func(io.Writer) error) (string, error) {
	token := crand.Text()
	in := &transfermanager.UploadObjectInput{Bucket: &b.name, Key: &key, Metadata: map[string]string{uploadName: token}}
	switch expected {
	case bucket.Anything:
	case bucket.Nothing:
		in.IfNoneMatch = aws.String("*")
	default:
		in.IfMatch = &expected
	}
	body, end := io.Pipe()
	in.Body = body
	written := make(chan error, 1)
	go func() {
		err := write(end)
		_ = end.CloseWithError(err) // it never fails
		written <- err
	}()
	out, err := b.upload.UploadObject(ctx, in)
	_ = body.CloseWithError(io.ErrClosedPipe) // so that write ends, whatever came of the upload
	if failed := <-written; failed != nil && (err == nil || !errors.Is(failed, io.ErrClosedPipe)) {
		return "", failed
	}
	if err == nil {
		return aws.ToString(out.ETag), nil
	}
	if version := b.uploaded(ctx, key, token, err); version != "" {
		return version, nil
	}
	return "", told(err)
}

// uploadName is of the metadata of an object that tells which upload made it.
const uploadName = "diffstitch-upload"

// uploaded is the version of an object that an upload made in spite of an error, "" if it
// did not. Where an answer is lost, the request that is sent again finds that the upload is
// over, or that there is an object already.
func (b *Bucket) uploaded(ctx context.Context, key, token string, err error) string {
	var named smithy.APIError
	if !errors.Is(told(err), bucket.ErrChanged) && !(errors.As(err, &named) && named.ErrorCode() == "NoSuchUpload") {
		return ""
	}
	there, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil || there.Metadata[uploadName] != token {
		return ""
	}
	return aws.ToString(there.ETag)
}

// List gives the objects whose keys begin with a prefix.
func (b *Bucket) List(ctx context.Context, prefix string, oneLevel bool) iter.Seq2[bucket.Object, error] {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix}
	if oneLevel {
		in.Delimiter = aws.String("/")
	}
	return func(yield func(bucket.Object, error) bool) {
		for pages := s3.NewListObjectsV2Paginator(b.client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(bucket.Object{}, told(err))
				return
			}
			for _, o := range page.Contents {
				if !yield(bucket.Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified), Version: aws.ToString(o.ETag)}, nil) {
					return
				}
			}
			for _, p := range page.CommonPrefixes {
				if !yield(bucket.Object{Key: aws.ToString(p.Prefix)}, nil) {
					return
				}
			}
		}
	}
}

// Delete removes an object.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	if err = told(err); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func statusOf(err error) int {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// told is an error in the terms of bucket.
func told(err error) error {
	var named smithy.APIError
	if errors.As(err, &named) && named.ErrorCode() == "NoSuchBucket" {
		return fmt.Errorf("there is no such bucket: %w: %w", fs.ErrNotExist, err)
	}
	switch statusOf(err) {
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case http.StatusPreconditionFailed, http.StatusConflict: // two writes at once
		return fmt.Errorf("%w: %w", bucket.ErrChanged, err)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %w", fs.ErrPermission, err)
	}
	return err
}
