package observe

import (
	"context"
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
)

func init() {
	beam.RegisterDoFn(&countFn{})
	beam.RegisterDoFn(&waitFn{})
}

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	os.Exit(m.Run())
}

var counted = Name{"observe_test", "elements"}

// countFn counts the elements it passes on.
type countFn struct{}

func (*countFn) ProcessElement(ctx context.Context, element int) int {
	beam.NewCounter(counted.Namespace, counted.Name).Inc(ctx, 1)
	return element
}

// waitFn works until it is cancelled.
type waitFn struct {
	Job string `json:"job"`
}

var waiting = make(chan bool, 1)

func (fn *waitFn) ProcessElement(ctx context.Context, element int) (int, error) {
	defer Work(ctx, fn.Job)()
	select {
	case waiting <- true:
	default: // others wait already
	}
	<-ctx.Done()
	return element, ctx.Err()
}

// runOn runs what build makes of ten elements, as the job, on prism.
func runOn(t *testing.T, j *Job, build func(beam.Scope, beam.PCollection) beam.PCollection) error {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	build(s, beam.Create(s, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
	*jobopts.JobName = j.Name
	defer func() { *jobopts.JobName = "" }()
	_, err := beam.Run(t.Context(), "prism", p)
	return err
}

// TestMetricsOfAJob are seen in this process and by the job service alike.
func TestMetricsOfAJob(t *testing.T) {
	j := NewJob("counting")
	defer j.Close()
	err := runOn(t, j, func(s beam.Scope, in beam.PCollection) beam.PCollection {
		return j.Live(s, beam.ParDo(s, &countFn{}, in))
	})
	if err != nil {
		t.Fatal(err)
	}
	here, err := j.here()
	if err != nil || here.Counters[counted] != 10 {
		t.Errorf("%d elements were seen here, want 10: %v", here.Counters[counted], err)
	}
	known := service{endpoint: *jobopts.Endpoint, job: j.Name}
	defer known.close()
	there, err := known.metrics(t.Context())
	if err != nil || there.Counters[counted] != 10 {
		t.Errorf("the job service saw %d elements, want 10: %v", there.Counters[counted], err)
	}
	if err := j.Succeeded(); err != nil {
		t.Error(err)
	}
	other := service{endpoint: *jobopts.Endpoint, job: "another"}
	defer other.close()
	if _, err := other.metrics(t.Context()); !errors.Is(err, errUnknownJob) {
		t.Errorf("another job's metrics: %v", err)
	}
}

func TestWatchTellsWhileTheJobRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("for the race detector: Beam's harness closes a channel on which a cancelled bundle still sends")
	}
	j := NewJob("watching")
	defer j.Close()
	told := make(chan Metrics)
	stop := j.Watch(t.Context(), time.Millisecond, func(m Metrics) {
		select {
		case told <- m:
		default:
		}
	})
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- runOn(t, j, func(s beam.Scope, in beam.PCollection) beam.PCollection {
			counts := j.Live(s, beam.ParDo(s, &countFn{}, in))
			return beam.ParDo(s, &waitFn{Job: j.Name}, counts)
		})
	}()
	<-waiting
	for m := range told {
		if m.Counters[counted] > 0 {
			break // the bundle is under way, and stays so until it is cancelled
		}
	}
	if err := j.Cancel(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if err := j.Succeeded(); err == nil {
		t.Error("a cancelled job succeeded")
	}
}
