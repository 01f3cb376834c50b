package backend

import (
	"sync"

	"github.com/gomlx/compute"
)

// gate counts the batches that run on a device.
type gate struct {
	mutex   sync.Mutex
	left    *sync.Cond // a batch has left
	running int
}

var gates sync.Map // compute.Backend → *gate

// Acquire waits until fewer than limit batches run on the device, the whole process
// over, and counts one more until it is released. On the pure-Go backend the limit
// is always one.
func Acquire(engine compute.Backend, limit int) (release func()) {
	if IsGo(engine) {
		limit = 1
	}
	fresh := &gate{}
	fresh.left = sync.NewCond(&fresh.mutex)
	found, _ := gates.LoadOrStore(engine, fresh)
	g := found.(*gate)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for g.running >= max(limit, 1) {
		g.left.Wait()
	}
	g.running++
	return g.leave
}

func (g *gate) leave() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.running--
	g.left.Broadcast()
}
