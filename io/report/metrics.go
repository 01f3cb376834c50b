package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"diffstitch/io/snapshot"
)

// inferencePrefix begins the namespaces of models, whose metrics are named as
// Beam's RunInference names them.
const inferencePrefix = "inference."

// served is what the metrics say of one model.
type served struct {
	model                     string
	inferences, failed        int64
	rows, latency, load, size snapshot.Distribution // rows per call, µs per call, ms, bytes
}

// servedModels are the models that ran, those that took longest first.
func servedModels(m snapshot.Metrics) []served {
	var all []served
	of := func(namespace string) *served {
		model := strings.TrimPrefix(namespace, inferencePrefix)
		i := slices.IndexFunc(all, func(s served) bool { return s.model == model })
		if i < 0 {
			i, all = len(all), append(all, served{model: model})
		}
		return &all[i]
	}
	for _, c := range m.Counters {
		switch {
		case !strings.HasPrefix(c.Namespace, inferencePrefix):
		case c.Name == "num_inferences":
			of(c.Namespace).inferences += c.Value
		case c.Name == "failed_batches_counter":
			of(c.Namespace).failed += c.Value
		}
	}
	for _, d := range m.Distributions {
		if !strings.HasPrefix(d.Namespace, inferencePrefix) {
			continue
		}
		s := of(d.Namespace)
		switch d.Name {
		case "inference_request_batch_size":
			s.rows = d
		case "inference_batch_latency_micro_secs":
			s.latency = d
		case "load_model_latency_milli_secs":
			s.load = d
		case "model_byte_size":
			s.size = d
		}
	}
	slices.SortStableFunc(all, func(a, b served) int { return cmp.Compare(b.latency.Sum, a.latency.Sum) })
	return all
}

// modelSeconds is the time of all models, added up over workers.
func modelSeconds(m snapshot.Metrics) (seconds float64) {
	for _, s := range servedModels(m) {
		seconds += 1e-6 * float64(s.latency.Sum)
	}
	return seconds
}

// modelsSection shows how the models were used.
func modelsSection(r Report) (section, error) {
	models := servedModels(r.Metrics)
	if len(models) == 0 {
		return section{}, nil
	}
	s := section{
		Title: "Models at work",
		Text:  "Calls of each model, over all workers. A batch that is called with few rows, or a long wait for loading, is a device that could do more.",
		Table: &table{Head: []string{"Model", "Rows", "Calls", "Rows a call", "A call took", "At most", "In all", "Loading", "Weights", "Failed"}},
	}
	for _, m := range models {
		failed := cell{whole(m.failed), "number"}
		if m.failed > 0 {
			failed.Class = "missed"
		}
		s.Table.Rows = append(s.Table.Rows, []cell{
			{Text: m.model}, {whole(m.inferences), "number"}, {whole(m.latency.Count), "number"}, {between(m.rows), "number"},
			{brief(1e-6 * average(m.latency)), "number"}, {brief(1e-6 * float64(m.latency.Max)), "number"},
			{clock(1e-6 * float64(m.latency.Sum)), "number"}, {brief(1e-3 * float64(m.load.Sum)), "number"},
			{weight(m.size.Max), "number"}, failed,
		})
	}
	return s, nil
}

// metricsSection lists what the transforms counted and measured besides.
func metricsSection(r Report) (section, error) {
	s := section{
		Title: "Measurements",
		Text:  "What the pipelines counted, and the values they measured: how many, their mean, least and most. What was tried again may be counted again.",
		Table: &table{Head: []string{"Stage", "Metric", "Sum", "Values", "Mean", "Least", "Most"}},
	}
	for _, c := range r.Metrics.Counters {
		if !strings.HasPrefix(c.Namespace, inferencePrefix) {
			s.Table.Rows = append(s.Table.Rows, []cell{
				{Text: c.Stage}, {c.Namespace + "/" + c.Name, "code"}, {whole(c.Value), "number"}, {}, {}, {}, {},
			})
		}
	}
	for _, d := range r.Metrics.Distributions {
		if !strings.HasPrefix(d.Namespace, inferencePrefix) {
			s.Table.Rows = append(s.Table.Rows, []cell{
				{Text: d.Stage}, {d.Namespace + "/" + d.Name, "code"}, {whole(d.Sum), "number"}, {whole(d.Count), "number"},
				{number(average(d)), "number"}, {whole(d.Min), "number"}, {whole(d.Max), "number"},
			})
		}
	}
	if len(s.Table.Rows) == 0 {
		return section{}, nil
	}
	order := func(a, b []cell) int { return cmp.Compare(stageRank(a[0].Text), stageRank(b[0].Text)) }
	slices.SortStableFunc(s.Table.Rows, order)
	return s, nil
}

// stageRank puts the pipelines in the order in which they run.
func stageRank(stage string) int {
	switch stage {
	case "reading":
		return 0
	case "writing":
		return 2
	default: // that of the method
		return 1
	}
}

func average(d snapshot.Distribution) float64 {
	if d.Count == 0 {
		return 0
	}
	return float64(d.Sum) / float64(d.Count)
}

// between writes the least and the most of a distribution, once if they agree.
func between(d snapshot.Distribution) string {
	if d.Min == d.Max {
		return whole(d.Max)
	}
	return whole(d.Min) + "–" + whole(d.Max)
}

// brief writes a time that may be far under a second.
func brief(seconds float64) string {
	switch {
	case seconds > 0 && seconds < 1e-3:
		return number(1e6*seconds) + " µs"
	case seconds > 0 && seconds < 1:
		return number(1e3*seconds) + " ms"
	}
	return clock(seconds)
}

func weight(n int64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if float64(n) >= unit.size {
			return number(float64(n)/unit.size) + " " + unit.name
		}
	}
	return fmt.Sprintf("%d B", n)
}
