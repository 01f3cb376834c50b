package report

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"diffstitch/io/snapshot"
)

// sample is a report with every section, of made-up numbers that look like a
// run on the maze.
func sample() Report {
	rng := rand.New(rand.NewPCG(1, 2))
	r := Report{
		Title:    "PointMaze: 1 500 stitches attempted",
		Snapshot: "20261123T120000Z-0a1b2c3d",
		Created:  time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		Software: "diffstitch v0.1.0",
		Notices:  []string{"XLA was not found, so the pure-Go backend did the work; “diffstitch backends install cpu” gets the faster one."},
		Summary: []Fact{
			{"Backend", "go"}, {"Runner", "prism"}, {"Conditioning", "interpolated"}, {"Sampler", "DDIM, 20 steps"},
			{"Pairing", "reference"}, {"δ", "0.35"}, {"Seed", "7"},
		},
		Headline: &Headline{Attempted: 1500, Accepted: 320, Before: 120000, After: 187654},
		Stages: []snapshot.Stage{
			{Stage: "read", Unit: "episodes", In: 601, Out: 600, Dropped: map[string]int64{"value is not finite": 1}},
			{Stage: "pair", Unit: "pairs", In: 1500, Out: 1480, Dropped: map[string]int64{"episode too short": 20}},
			{Stage: "qualify", Unit: "stitches", In: 1480, Out: 320, Dropped: map[string]int64{"error ≥ δ": 1100, "no gain in return": 60}},
		},
		Durations:     []snapshot.Duration{{Stage: "read", Seconds: 0.8}, {Stage: "stitch", Seconds: 126.4}, {Stage: "mix", Seconds: 2.25}, {Stage: "report", Seconds: 1.1}},
		Metrics:       sampleMetrics(),
		Threshold:     0.35,
		Pools:         samplePools(rng),
		Transitions:   sampleTransitions(rng),
		Losses:        sampleLosses(rng),
		HeldOut:       []Error{{Of: "a transition, by the nets that judge", Raw: Quantiles{0.1, 0.2, 0.5, 1}, Spreads: Quantiles{0.01, 0.02, 0.05, 0.1}}},
		Configuration: json.RawMessage(`{"seed": 18446744073709551615, "pair": {"strategy": "reference", "candidates": 512}, "mix": "concat"}`),
		Rejects:       []Reject{{"maze.parquet, episode 17", "step 4: observations are not finite"}},
		Paths:         samplePaths(rng),
	}
	addAttempts(&r, rng)
	return r
}

func sampleMetrics() snapshot.Metrics {
	var m snapshot.Metrics
	count := func(stage, namespace, name string, value int64) {
		m.Counters = append(m.Counters, snapshot.Counter{Stage: stage, Namespace: namespace, Name: name, Value: value})
	}
	measure := func(namespace, name string, count, sum, least, most int64) {
		m.Distributions = append(m.Distributions, snapshot.Distribution{
			Stage: "stitching", Namespace: namespace, Name: name, Count: count, Sum: sum, Min: least, Max: most,
		})
	}
	count("reading", "datasetio", "episodes_read", 600)
	count("stitching", "qualify", "stitches_accepted", 320)
	count("writing", "datasetio", "rows_written", 187654)
	for i, model := range []string{"denoiser", "dynamics", "inverse", "reward"} {
		rows := int64(1536)
		if i > 0 {
			rows = 16_320
		}
		count("stitching", "inference."+model, "num_inferences", rows)
		measure("inference."+model, "inference_request_batch_size", 24, rows, rows/24, rows/24)
		measure("inference."+model, "inference_batch_latency_micro_secs", 24, 78_900_000/int64(1+400*i), 900, 4_100_000/int64(1+400*i))
		measure("inference."+model, "load_model_latency_milli_secs", 1, 1640/int64(1+9*i), 1640/int64(1+9*i), 1640/int64(1+9*i))
		measure("inference."+model, "model_byte_size", 1, 4_120_000/int64(1+20*i), 4_120_000/int64(1+20*i), 4_120_000/int64(1+20*i))
	}
	count("stitching", "inference.reward", "failed_batches_counter", 2)
	measure("estimate", "batch_milliseconds", 24, 41_200, 1500, 1900)
	measure("inpaint", "batch_milliseconds", 24, 78_900, 3100, 3600)
	return m
}

func addAttempts(r *Report, rng *rand.Rand) {
	r.Truth = &Truth{
		Judge: "The built-in maze", Unit: "cells",
		Criteria: []Criterion{
			{"Share of attempted stitches accepted", "≥ 20 %", "21.3 %", true},
			{"Worst one-step position error of an accepted stitch, median", "≤ 2 % of the maze's width", "1.4 %", true},
			{"Accepted bridges that cross no wall", "≥ 95 %", "94.1 %", false},
			{"Spearman of qualification error and true error", "≥ 0.90", "0.93", true},
		},
		Bound: 0.1,
		Kinds: []Errors{{Name: "real", Values: make([]float64, 50)}, {Name: "real, wrong actions"}, {Name: "stitched"}},
	}
	for range 900 {
		e := math.Exp(0.5 * rng.NormFloat64())
		r.Truth.Kinds[1].Values = append(r.Truth.Kinds[1].Values, e)
		r.Truth.Kinds[2].Values = append(r.Truth.Kinds[2].Values, 0.08*e)
	}
	for range 1480 {
		e := 0.7 * math.Exp(0.9*rng.NormFloat64())
		accepted := e < r.Threshold && rng.Float64() < 0.95
		r.Attempts = append(r.Attempts, Attempt{Steps: 3 + int(20*rng.Float64()*rng.Float64()), MaxError: e, Accepted: accepted})
		r.Truth.Judged = append(r.Truth.Judged, Judged{MaxError: e, TrueError: 0.4 * e * math.Exp(0.35*rng.NormFloat64()), Accepted: accepted})
		before := 20 * rng.Float64() * rng.Float64()
		r.Returns = append(r.Returns, Return{before, before*0.3 + 25 + 8*rng.NormFloat64()})
	}
}

func samplePools(rng *rand.Rand) *Pools {
	p := new(Pools)
	for range 600 {
		switch v := 60 * math.Pow(rng.Float64(), 1.7); {
		case v < 12:
			p.Low = append(p.Low, v)
		case v > 40:
			p.High = append(p.High, v)
		default:
			p.Between = append(p.Between, v)
		}
	}
	return p
}

func sampleTransitions(rng *rand.Rand) *Comparison {
	c := &Comparison{Columns: []string{"x", "y", "vx", "vy", "force x", "force y"}}
	fill := func(n int, shift float64) (rows []float32) {
		for range n {
			vx, vy := rng.NormFloat64(), rng.NormFloat64()
			for _, v := range []float64{4 + 2*rng.NormFloat64() + shift, 4 + 2*rng.Float64(), vx, vy,
				min(1, max(-1, 0.7*vx+0.4*rng.NormFloat64())), min(1, max(-1, (0.7-shift)*vy+0.4*rng.NormFloat64()))} {
				rows = append(rows, float32(v))
			}
		}
		return rows
	}
	c.Real, c.Generated = fill(5000, 0), fill(2000, 0.3)
	return c
}

func sampleLosses(rng *rand.Rand) (losses []Loss) {
	for i, model := range []string{"denoiser", "inverse dynamics", "reward", "dynamics"} {
		l := Loss{Model: model}
		for step := 20; step <= 2000; step += 20 {
			v := math.Pow(10, -float64(i)/2) * (0.05 + math.Exp(-float64(step)/300))
			l.Train = append(l.Train, LossPoint{step, v * math.Exp(0.1*rng.NormFloat64())})
			if step%200 == 0 {
				l.HeldOut = append(l.HeldOut, LossPoint{step, 1.15 * v})
			}
		}
		losses = append(losses, l)
	}
	return losses
}

// samplePaths walk about in a maze of which only some cells are walls.
func samplePaths(rng *rand.Rand) *Paths {
	p := &Paths{ObservationDim: 4, Maze: &Maze{Width: 8, Height: 8, Goal: [2]float64{6.5, 6.5}}}
	for i := range 8 {
		at := float64(i)
		p.Maze.Walls = append(p.Maze.Walls, [2]float64{at, 0}, [2]float64{at, 7}, [2]float64{0, at}, [2]float64{7, at})
	}
	p.Maze.Walls = append(p.Maze.Walls, [2]float64{3, 1}, [2]float64{3, 2}, [2]float64{4, 5}, [2]float64{4, 4})
	for i := range 7 {
		path := Path{Caption: fmt.Sprintf("Episode %d to %d: error 0.%d", 10+i, 90-i, 11+i), Bridges: []Span{{60, 80}}}
		x, y, phase := 1.5, 1.5, 6*rng.Float64()
		for step := range 200 {
			angle := 0.8 + 1.2*math.Sin(float64(step)/15+phase)
			vx, vy := 0.035*math.Cos(angle), 0.035*math.Sin(angle)
			x, y = min(x+vx, 6.8), min(y+vy, 6.8)
			path.States = append(path.States, float32(x), float32(y), float32(vx), float32(vy))
		}
		p.Paths = append(p.Paths, path)
	}
	return p
}
