package stores

import (
	"bytes"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Faults are what happens to requests: the shares of them, in [0, 1], and how late answers
// are.
type Faults struct {
	Seed        uint64
	Unavailable float64 // answered 503
	TooMany     float64 // answered 429
	Reset       float64 // cut before the server sees them
	// Lost are cut after the server did what they ask. Parts of uploads to GCS are not:
	// fake-gcs-server takes a part that comes again for the next one.
	Lost      float64
	Truncated float64 // answered with the half of the body
	Latency   time.Duration
}

// Network stands before a server.
type Network struct {
	forward  http.Handler
	mu       sync.Mutex
	faults   Faults
	requests atomic.Int64
	suffered atomic.Int64
}

// Suffer has faults happen from now on.
func (n *Network) Suffer(f Faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
}

// Requests is how many there were.
func (n *Network) Requests() int64 { return n.requests.Load() }

// Suffered is how many of the requests had a fault.
func (n *Network) Suffered() int64 { return n.suffered.Load() }

// ServeHTTP passes a request on, or has something happen to it.
func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	count := n.requests.Add(1)
	n.mu.Lock()
	f := n.faults
	n.mu.Unlock()
	time.Sleep(f.Latency)
	fate := f.draw(r, count)
	if r.URL.Query().Has("upload_id") && (fate == "lost" || fate == "truncated") {
		fate = "reset" // fake-gcs-server takes a part that comes again for the next one
	}
	if fate != "" {
		n.suffered.Add(1)
	}
	switch fate {
	case "unavailable":
		http.Error(w, "injected", http.StatusServiceUnavailable)
	case "too many":
		http.Error(w, "injected", http.StatusTooManyRequests)
	case "reset":
		panic(http.ErrAbortHandler)
	case "lost":
		n.forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case "truncated":
		n.truncate(w, r)
	default:
		n.forward.ServeHTTP(w, r)
	}
}

// draw is what happens to a request.
func (f Faults) draw(r *http.Request, count int64) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.Method + r.URL.String())) // it never fails
	at := rand.New(rand.NewPCG(f.Seed^uint64(count), h.Sum64())).Float64()
	for _, fate := range []struct {
		name  string
		share float64
	}{{"unavailable", f.Unavailable}, {"too many", f.TooMany}, {"reset", f.Reset}, {"lost", f.Lost}, {"truncated", f.Truncated}} {
		if at < fate.share {
			return fate.name
		}
		at -= fate.share
	}
	return ""
}

// truncate answers with half of what the server says.
func (n *Network) truncate(w http.ResponseWriter, r *http.Request) {
	whole := httptest.NewRecorder()
	n.forward.ServeHTTP(whole, r)
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	body := whole.Body.Bytes()
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(whole.Code)
	_, _ = bytes.NewReader(body[:len(body)/2]).WriteTo(w) // the other end finds out
	panic(http.ErrAbortHandler)
}
