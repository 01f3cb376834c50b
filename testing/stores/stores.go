// Package stores runs object stores on this machine, for tests: real servers as processes
// of their own, behind a proxy that does to requests what networks do.
package stores

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Kinds of stores.
const (
	GCS = "gs"
	S3  = "s3"
)

// Secret is what S3 is asked with. It belongs into no file.
const Secret = "wJalrXUtnFEMIK7MDENG"

// bucketName is of the one bucket that there is.
const bucketName = "bucket"

// Store is an object store that runs until its test ends.
type Store struct {
	// Root is its bucket's path: gs://bucket or s3://bucket.
	Root string
	// Environment is what a process needs to be told of it.
	Environment []string
	*Network
}

// Start runs a store and tells this process of it, until the test ends. It skips with -short.
func Start(t testing.TB, kind string) *Store {
	t.Helper()
	if testing.Short() {
		t.Skip("servers take a while to build")
	}
	s := Run(t, kind)
	for _, variable := range s.Environment {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	return s
}

// Run runs a store until the test ends, and tells nobody of it.
func Run(t testing.TB, kind string) *Store {
	t.Helper()
	at := freePort(t)
	s := &Store{Root: kind + "://" + bucketName, Network: &Network{}}
	target := &url.URL{Scheme: "http", Host: at}
	s.forward = &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	front := httptest.NewServer(s.Network)
	t.Cleanup(front.Close)
	if kind == GCS {
		launch(t, "fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", at[strings.LastIndexByte(at, ':')+1:],
			"-backend", "memory", "-external-url", front.URL, "-public-host", strings.TrimPrefix(front.URL, "http://"), "-log-level", "error")
		s.Environment = []string{"STORAGE_EMULATOR_HOST=" + front.URL}
	} else {
		launch(t, "gofakes3", "-host", at, "-backend", "memory", "-quiet")
		s.Environment = []string{"AWS_ENDPOINT_URL=" + front.URL, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=" + Secret, "AWS_REGION=us-east-1"}
	}
	makeBucket(t, kind, front.URL)
	return s
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it took no connection
	return l.Addr().String()
}

// built are the servers that this process has built, by their names.
var built sync.Map

// build builds a server, if it is not built, and gives its path.
func build(t testing.TB, tool string) string {
	t.Helper()
	if path, done := built.Load(tool); done {
		return path.(string)
	}
	_, here, _, _ := runtime.Caller(0)
	find := exec.Command("go", "tool", "-n", tool)
	find.Dir = filepath.Join(filepath.Dir(here), "..", "servers")
	var said bytes.Buffer
	find.Stderr = &said
	out, err := find.Output()
	if err != nil {
		t.Fatalf("building %s: %v\n%s", tool, err, said.Bytes())
	}
	path := strings.TrimSpace(string(out))
	built.Store(tool, path)
	return path
}

// launch runs a server until the test ends.
func launch(t testing.TB, tool string, args ...string) {
	t.Helper()
	path := build(t, tool)
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, path, args...)
	server.Stdout, server.Stderr = t.Output(), t.Output()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = server.Wait() }) // it was killed
}

// makeBucket waits for the server to answer, and makes the bucket.
func makeBucket(t testing.TB, kind, at string) {
	t.Helper()
	method, target, body := http.MethodPut, at+"/"+bucketName, ""
	if kind == GCS {
		method, target, body = http.MethodPost, at+"/storage/v1/b?project=test", fmt.Sprintf(`{"name":%q}`, bucketName)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		request, err := http.NewRequest(method, target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("it answers %s", answer.Status)
		}
		if time.Now().After(end) {
			t.Fatalf("making a bucket of %s: %v", kind, err)
		}
	}
}
