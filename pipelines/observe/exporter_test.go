package observe

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func inference(values ...int64) Metrics {
	m := NewMetrics()
	in := func(name string) Name { return Name{"inference.denoiser", name} }
	m.Counters[in("num_inferences")] = int64(len(values))
	m.Counters[in("failed_batches_counter")] = 1
	m.Counters[Name{"qualify", "stitches_accepted"}] = 5
	for _, v := range values {
		m.Distributions[in("inference_batch_latency_micro_secs")] = m.Distributions[in("inference_batch_latency_micro_secs")].plus(Distribution{1, v, v, v})
	}
	m.Gauges[Name{"training.reward", "loss_millionths"}] = Gauge{250_000, time.Unix(1, 0)}
	return m
}

const scraped = `
# HELP diffstitch_failed_batches_total Beam metric failed_batches_counter.
# TYPE diffstitch_failed_batches_total counter
diffstitch_failed_batches_total{model="denoiser",namespace="inference",stage="stitching"} 2
# HELP diffstitch_inference_batch_latency_seconds Beam metric inference_batch_latency_micro_secs.
# TYPE diffstitch_inference_batch_latency_seconds summary
diffstitch_inference_batch_latency_seconds_sum{model="denoiser",namespace="inference",stage="stitching"} 6
diffstitch_inference_batch_latency_seconds_count{model="denoiser",namespace="inference",stage="stitching"} 3
# HELP diffstitch_inference_batch_latency_seconds_max Beam metric inference_batch_latency_micro_secs.
# TYPE diffstitch_inference_batch_latency_seconds_max gauge
diffstitch_inference_batch_latency_seconds_max{model="denoiser",namespace="inference",stage="stitching"} 3
# HELP diffstitch_loss Beam metric loss_millionths.
# TYPE diffstitch_loss gauge
diffstitch_loss{model="reward",namespace="training",stage="stitching"} 0.25
# HELP diffstitch_pipelines_total Pipelines begun: a stage has several where it goes in rounds.
# TYPE diffstitch_pipelines_total counter
diffstitch_pipelines_total{stage="reading"} 1
diffstitch_pipelines_total{stage="stitching"} 2
# HELP diffstitch_stage_running 1 for the stage that runs, or ran last.
# TYPE diffstitch_stage_running gauge
diffstitch_stage_running{stage="reading"} 0
diffstitch_stage_running{stage="stitching"} 1
# HELP diffstitch_stitches_accepted_total Beam metric stitches_accepted.
# TYPE diffstitch_stitches_accepted_total counter
diffstitch_stitches_accepted_total{model="",namespace="qualify",stage="stitching"} 10
# HELP diffstitch_task_done What a task has done, in its unit.
# TYPE diffstitch_task_done gauge
diffstitch_task_done{stage="reading",task="reading",unit="episodes"} 9
diffstitch_task_done{stage="stitching",task="stitching",unit="stitches"} 4
# HELP diffstitch_task_planned What a task has to do, in its unit.
# TYPE diffstitch_task_planned gauge
diffstitch_task_planned{stage="stitching",task="stitching",unit="stitches"} 64
`

// TestScrape reads the endpoint as Prometheus does.
func TestScrape(t *testing.T) {
	e := NewExporter()
	url, err := e.Serve(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Errorf("an address without a host is served at %s", url)
	}
	e.Show(Progress{Stage: "reading", Job: "a", Task: "reading", Done: 9, Unit: "episodes", Metrics: NewMetrics()})
	e.Show(Progress{Stage: "stitching", Job: "b", Task: "stitching", Done: 64, Total: 64, Unit: "stitches", Metrics: inference(1)})
	e.Show(Progress{Stage: "stitching", Job: "b", Task: "stitching", Done: 64, Total: 64, Unit: "stitches", Metrics: inference(1_000_000, 2_000_000)})
	e.Show(Progress{Stage: "stitching", Job: "c", Task: "stitching", Done: 4, Total: 64, Unit: "stitches", Metrics: inference(3_000_000)})
	var names []string
	for line := range strings.Lines(scraped) {
		if name, found := strings.CutPrefix(line, "# TYPE "); found {
			names = append(names, strings.Fields(name)[0])
		}
	}
	if err := testutil.ScrapeAndCompare(url, strings.NewReader(scraped), names...); err != nil {
		t.Error(err)
	}
}

// TestNamesAreConventional has Prometheus' own linter look at them.
func TestNamesAreConventional(t *testing.T) {
	e := NewExporter()
	m := inference(1)
	m.Distributions[Name{"inference.denoiser", "inference_request_batch_byte_size"}] = Distribution{1, 2, 2, 2}
	m.Distributions[Name{"estimate", "batch_milliseconds"}] = Distribution{1, 2, 2, 2}
	e.Show(Progress{Stage: "stitching", Job: "b", Task: "stitching", Done: 4, Total: 64, Unit: "stitches", Metrics: m})
	registry := prometheus.NewRegistry()
	registry.MustRegister(e)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
