package parquet

import (
	linked "container/list"
	"sync"
)

// Cache keeps the latest of what was read, up to a number of bytes, and the
// latest value whatever its size. Its functions may be called concurrently.
type Cache struct {
	bound int64

	mu     sync.Mutex
	bytes  int64
	byKey  map[any]*linked.Element
	recent *linked.List // of *cached, latest first
}

// cached is a value, or one that is being made.
type cached struct {
	key   any
	made  chan struct{} // closed when the rest is set
	value any
	bytes int64
	err   error
}

// NewCache makes a cache of so many bytes.
func NewCache(bytes int64) *Cache {
	return &Cache{bound: bytes, byKey: map[any]*linked.Element{}, recent: linked.New()}
}

// Cached gives the value of a key, which belongs to the cache, and whether it
// was there. If not, make makes it and says what it takes; others who ask for it
// meanwhile wait.
func Cached[V any](c *Cache, key any, make func() (value V, bytes int64, err error)) (value V, hit bool, err error) {
	entry, hit := c.enter(key)
	if !hit {
		c.fill(entry, func() (any, int64, error) { return make() })
	}
	<-entry.made
	if entry.err != nil {
		return value, hit, entry.err
	}
	return entry.value.(V), hit, nil
}

// enter gives the entry of a key, and whether it was there.
func (c *Cache) enter(key any) (entry *cached, hit bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.byKey[key]; ok {
		c.recent.MoveToFront(at)
		return at.Value.(*cached), true
	}
	entry = &cached{key: key, made: make(chan struct{})}
	c.byKey[key] = c.recent.PushFront(entry)
	return entry, false
}

// fill makes the value of a new entry, and lets the least recent ones over the
// bound go.
func (c *Cache) fill(entry *cached, make func() (any, int64, error)) {
	func() {
		defer close(entry.made)
		defer Recovered(&entry.err)
		entry.value, entry.bytes, entry.err = make()
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.byKey[entry.key]
	if at == nil || at.Value != entry {
		return // it had to go already
	}
	if entry.err != nil {
		c.forget(at)
		return
	}
	c.bytes += entry.bytes
	for c.bytes > c.bound && c.recent.Len() > 1 {
		c.forget(c.recent.Back())
	}
}

func (c *Cache) forget(at *linked.Element) {
	entry := c.recent.Remove(at).(*cached)
	delete(c.byKey, entry.key)
	select {
	case <-entry.made:
		if entry.err == nil {
			c.bytes -= entry.bytes
		}
	default: // its bytes were not counted yet
	}
}
