package observe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
)

func init() {
	beam.RegisterDoFn(&liveFn{})
}

// Job is a pipeline that this process drives.
//
// Its metrics are seen in two ways, since neither sees all. Beam's job service
// has those of every worker, but a runner may give them late: prism at the ends
// of bundles, Flink's job server at the end of the job. Bundles that run in this
// process are seen themselves, as with the embedded runners and LOOPBACK.
type Job struct {
	Name  string // of the job, which no other has
	Stage string // what the pipeline does

	mu     sync.Mutex
	stores map[*metrics.Store]bool // of the bundles in this process

	working sync.RWMutex // held for reading by the DoFns that Work
}

// jobs of this process, by name.
var jobs sync.Map

// NewJob names the pipeline that is built and run next, until Close.
func NewJob(stage string) *Job {
	// Names are not part of the results: any will do that no other job has.
	name := fmt.Sprintf("diffstitch-%s-%s", stage, strings.ToLower(rand.Text()[:10]))
	if given := *jobopts.JobName; given != "" {
		name = given + "-" + name
	}
	j := &Job{Name: name, Stage: stage, stores: map[*metrics.Store]bool{}}
	jobs.Store(name, j)
	return j
}

// Close forgets the job, once the DoFns at work in this process are done.
func (j *Job) Close() {
	j.working.Lock()
	defer j.working.Unlock()
	jobs.Delete(j.Name)
}

// Live passes a collection on, and has the metrics of the transforms that are
// fused with it seen while their bundles run, where they run in this process.
func (j *Job) Live(s beam.Scope, in beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("observe.Live"), &liveFn{Job: j.Name}, in)
}

type liveFn struct {
	Job string `json:"job"`
}

func (fn *liveFn) StartBundle(ctx context.Context)      { join(ctx, fn.Job) }
func (fn *liveFn) ProcessElement(element beam.X) beam.X { return element }

// join adds the bundle to the job, if this process drives it.
func join(ctx context.Context, name string) *Job {
	found, here := jobs.Load(name)
	store := metrics.GetStore(ctx)
	if !here || store == nil {
		return nil
	}
	j := found.(*Job)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stores[store] = true
	return j
}

// Work is for a DoFn with long elements: its metrics are seen while it runs, and
// a driver in the same process does not end before done is called.
func Work(ctx context.Context, job string) (done func()) {
	j := join(ctx, job)
	if j == nil {
		return func() {}
	}
	j.working.RLock()
	return j.working.RUnlock
}

// here are the metrics of the bundles in this process.
func (j *Job) here() (Metrics, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	sum := NewMetrics()
	for store := range j.stores {
		m, err := inStore(store)
		if err != nil {
			return sum, err
		}
		sum.Add(m)
	}
	return sum, nil
}

// Watch tells the job's metrics at every interval, until stop is called.
func (j *Job) Watch(ctx context.Context, every time.Duration, tell func(Metrics)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	endpoint := *jobopts.Endpoint // prism sets its own when it runs
	ended.Go(func() {
		service := service{endpoint: endpoint, job: j.Name}
		defer service.close()
		seen := NewMetrics()
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if err := j.look(ctx, &service, seen); err != nil && ctx.Err() == nil {
					slog.DebugContext(ctx, "no metrics", "stage", j.Stage, "job", j.Name, "error", err)
				}
				tell(seen.Clone())
			}
		}
	})
	return func() { cancel(); ended.Wait() }
}

// look raises what was seen to what is seen now.
func (j *Job) look(ctx context.Context, service *service, seen Metrics) error {
	here, err := j.here()
	seen.raise(here)
	there, missing := service.metrics(ctx)
	seen.raise(there)
	return errors.Join(err, missing)
}
