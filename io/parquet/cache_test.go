package parquet

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// TestCacheIsAnLRU compares the cache with the plainest one there is.
func TestCacheIsAnLRU(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewCache(rapid.Int64Range(1, 20).Draw(t, "bound"))
		var kept []int // keys, the least recent first
		for range 50 {
			key := rapid.IntRange(1, 8).Draw(t, "key") // and its bytes
			_, hit, err := Cached(c, key, func() (int, int64, error) { return key, int64(key), nil })
			if err != nil {
				t.Fatal(err)
			}
			was := false
			bytes := key
			var next []int
			for _, k := range kept {
				if k == key {
					was = true
				} else {
					next, bytes = append(next, k), bytes+k
				}
			}
			kept = append(next, key)
			for int64(bytes) > c.bound && len(kept) > 1 {
				bytes -= kept[0]
				kept = kept[1:]
			}
			if hit != was || c.bytes != int64(bytes) || len(c.byKey) != len(kept) || c.recent.Len() != len(kept) {
				t.Fatalf("key %d: hit %v, want %v; %d bytes of %d values, want %d of %d", key, hit, was, c.bytes, len(c.byKey), bytes, len(kept))
			}
		}
	})
}

// TestCacheMakesOnce: those who ask for a value that is being made wait for it,
// and a failure is not kept.
func TestCacheMakesOnce(t *testing.T) {
	c := NewCache(100)
	broken := errors.New("broken")
	if _, _, err := Cached(c, "a", func() (int, int64, error) { return 0, 0, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if _, _, err := Cached(c, "a", func() (int, int64, error) { panic("a damaged page") }); !errors.Is(err, ErrNotParquet) {
		t.Errorf("error %v", err)
	}
	var made atomic.Int64
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			v, _, err := Cached(c, "a", func() (int64, int64, error) { return made.Add(1), 1, nil })
			if v != 1 || err != nil {
				t.Errorf("value %d: %v", v, err)
			}
		})
	}
	users.Wait()
	if made.Load() != 1 || c.bytes != 1 {
		t.Errorf("made %d times, %d bytes", made.Load(), c.bytes)
	}
}
