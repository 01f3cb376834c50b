package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Exporter gives Prometheus what is known of the pipelines of this process,
// summed over those of a stage.
type Exporter struct {
	mu      sync.Mutex
	stages  map[string]*stageSums
	running string // the stage last heard of
}

// stageSums are the pipelines of one stage: rounds and restarts are several.
type stageSums struct {
	jobs  map[string]Metrics
	tasks map[string]Progress // as last told
}

// NewExporter knows of no pipeline yet.
func NewExporter() *Exporter { return &Exporter{stages: map[string]*stageSums{}} }

// Show takes a report of progress.
func (e *Exporter) Show(p Progress) {
	if p.Said != "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = p.Stage
	sums := e.stages[p.Stage]
	if sums == nil {
		sums = &stageSums{map[string]Metrics{}, map[string]Progress{}}
		e.stages[p.Stage] = sums
	}
	sums.jobs[p.Job] = p.Metrics
	sums.tasks[p.Task] = p
}

// Serve answers at http://address/metrics until ctx ends. An address without a
// host is of this machine alone.
func (e *Exporter) Serve(ctx context.Context, address string) (url string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("observe: metrics address %q: %w", address, err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port))
	if err != nil {
		return "", fmt.Errorf("observe: metrics: %w", err)
	}
	server := &http.Server{Handler: e.handler(), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // scrapes are not worth waiting for
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			slog.ErrorContext(ctx, "metrics are no longer served", "error", err)
		}
	}()
	return "http://" + listener.Addr().String() + "/metrics", nil
}

func (e *Exporter) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// Describe says nothing: which metrics there are is known when they come.
func (e *Exporter) Describe(chan<- *prometheus.Desc) {}

// The driver's own metrics.
var (
	jobsDesc = prometheus.NewDesc("diffstitch_pipelines_total",
		"Pipelines begun: a stage has several where it goes in rounds.", []string{"stage"}, nil)
	runningDesc = prometheus.NewDesc("diffstitch_stage_running",
		"1 for the stage that runs, or ran last.", []string{"stage"}, nil)
	doneDesc = prometheus.NewDesc("diffstitch_task_done",
		"What a task has done, in its unit.", []string{"stage", "task", "unit"}, nil)
	plannedDesc = prometheus.NewDesc("diffstitch_task_planned",
		"What a task has to do, in its unit.", []string{"stage", "task", "unit"}, nil)
)

// Collect gives everything known.
func (e *Exporter) Collect(to chan<- prometheus.Metric) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for stage, sums := range e.stages {
		running := 0.0
		if stage == e.running {
			running = 1
		}
		to <- prometheus.MustNewConstMetric(runningDesc, prometheus.GaugeValue, running, stage)
		to <- prometheus.MustNewConstMetric(jobsDesc, prometheus.CounterValue, float64(len(sums.jobs)), stage)
		for _, p := range sums.tasks {
			to <- prometheus.MustNewConstMetric(doneDesc, prometheus.GaugeValue, float64(p.Done), stage, p.Task, p.Unit)
			if p.Total > 0 {
				to <- prometheus.MustNewConstMetric(plannedDesc, prometheus.GaugeValue, float64(p.Total), stage, p.Task, p.Unit)
			}
		}
		total := NewMetrics()
		for _, m := range sums.jobs {
			total.Add(m)
		}
		total.collect(stage, to)
	}
}

// collect gives the metrics of a stage.
func (m Metrics) collect(stage string, to chan<- prometheus.Metric) {
	for name, v := range m.Counters {
		to <- prometheus.MustNewConstMetric(name.desc("_total"), prometheus.CounterValue, float64(v), name.labels(stage)...)
	}
	for name, g := range m.Gauges {
		_, per := name.base()
		to <- prometheus.MustNewConstMetric(name.desc(""), prometheus.GaugeValue, float64(g.Value)/per, name.labels(stage)...)
	}
	for name, d := range m.Distributions {
		_, per := name.base()
		labels := name.labels(stage)
		to <- prometheus.MustNewConstSummary(name.desc(""), uint64(d.Count), float64(d.Sum)/per, nil, labels...)
		to <- prometheus.MustNewConstMetric(name.desc("_min"), prometheus.GaugeValue, float64(d.Min)/per, labels...)
		to <- prometheus.MustNewConstMetric(name.desc("_max"), prometheus.GaugeValue, float64(d.Max)/per, labels...)
	}
}

// labels are the values of a metric's stage, namespace and model.
func (n Name) labels(stage string) []string {
	namespace, model, _ := strings.Cut(n.Namespace, ".")
	return []string{stage, namespace, model}
}

// desc names the metric as Prometheus does.
func (n Name) desc(suffix string) *prometheus.Desc {
	base, _ := n.base()
	return prometheus.NewDesc("diffstitch_"+base+suffix, "Beam metric "+n.Name+".", []string{"stage", "namespace", "model"}, nil)
}

// base is the name in Prometheus' base units, and how many of Beam's units make
// one of them.
func (n Name) base() (name string, per float64) {
	for _, u := range []struct {
		suffix, base string
		per          float64
	}{
		{"_milliseconds", "_seconds", 1e3},
		{"_milli_secs", "_seconds", 1e3},
		{"_micro_secs", "_seconds", 1e6},
		{"_millionths", "", 1e6},
		{"_byte_size", "_size_bytes", 1},
		{"_counter", "", 1},
	} {
		if stem, found := strings.CutSuffix(n.Name, u.suffix); found {
			return stem + u.base, u.per
		}
	}
	return n.Name, 1
}
