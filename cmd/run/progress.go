package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"diffstitch/pipelines/observe"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// plainEvery is how often progress is said where there is no terminal.
const plainEvery = 10 * time.Second

// reporter shows progress: a bar with a rate and the time left on a terminal,
// a plain line now and then elsewhere.
type reporter struct {
	out      io.Writer
	terminal bool

	mu   sync.Mutex
	seen map[task]stand // several tasks may run at once
	task task           // of the bar
	bar  *progressbar.ProgressBar
}

type task struct{ job, name string }

// stand is where a task stood, and when that was last said in a plain line.
type stand struct {
	done int64
	said time.Time
}

// addWatching offers how a run is watched from elsewhere.
func addWatching(flags *pflag.FlagSet, address *string) {
	flags.StringVar(address, "metrics-address", "", "serve the metrics for Prometheus at this address while the run lasts, such as 127.0.0.1:9090")
}

// watching shows progress here, and to Prometheus if there is an address.
func watching(cmd *cobra.Command, address string) (show func(observe.Progress), err error) {
	here := newReporter()
	if address == "" {
		return here.show, nil
	}
	exporter := observe.NewExporter()
	url, err := exporter.Serve(cmd.Context(), address)
	if err != nil {
		return nil, usage(err)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "metrics:", url)
	return func(p observe.Progress) { exporter.Show(p); here.show(p) }, nil
}

func newReporter() *reporter {
	info, err := os.Stderr.Stat()
	return &reporter{out: os.Stderr, seen: map[task]stand{}, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// show takes one report of progress. It may be called from several goroutines.
func (r *reporter) show(p observe.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Said != "" {
		fmt.Fprintln(r.out, p.Said)
		return
	}
	key := task{p.Job, p.Task}
	last, known := r.seen[key]
	if known && last.done == p.Done {
		return
	}
	finished := p.Total > 0 && p.Done >= p.Total
	say := !r.terminal && (finished || time.Since(last.said) >= plainEvery)
	if say {
		last.said = time.Now()
		fmt.Fprintln(r.out, plainLine(p))
	}
	r.seen[key] = stand{p.Done, last.said}
	if r.terminal {
		r.draw(key, p)
	}
}

func (r *reporter) draw(key task, p observe.Progress) {
	same := r.bar != nil && r.task == key
	if r.bar != nil && !same && !r.bar.IsFinished() {
		if r.task.job == p.Job {
			return // one bar at a time: that of the task that began first
		}
		_ = r.bar.Exit() // a job may end with less than was foreseen, or without a total
	}
	if !same {
		r.task, r.bar = key, newBar(r.out, p)
	}
	if p.Total > 0 {
		r.bar.ChangeMax64(p.Total)
	}
	r.bar.Describe(describe(p) + rate(p))
	_ = r.bar.Set64(p.Done) // a bar that cannot be drawn is no failure
}

// newBar is a bar, or a turning mark where the total is not known.
func newBar(out io.Writer, p observe.Progress) *progressbar.ProgressBar {
	total := p.Total
	if total == 0 {
		total = -1
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionOnCompletion(func() { fmt.Fprintln(out) }),
	)
}

// plainLine says the rate and the time left in one line.
func plainLine(p observe.Progress) string {
	line := fmt.Sprintf("%s: %d %s", describe(p), p.Done, p.Unit)
	if p.Total > 0 {
		line = fmt.Sprintf("%s: %d of %d %s", describe(p), p.Done, p.Total, p.Unit)
	}
	line += rate(p)
	if p.Rate > 0 && p.Total > 0 {
		left := time.Duration(float64(p.Total-p.Done) / p.Rate * float64(time.Second)).Round(time.Second)
		line += fmt.Sprintf(", %s left", left)
	}
	return line
}

// rate is left out where it is not known yet.
func rate(p observe.Progress) string {
	if p.Rate <= 0 {
		return ""
	}
	return fmt.Sprintf(", %.1f per second", p.Rate)
}

func describe(p observe.Progress) string {
	if p.Note == "" {
		return p.Task
	}
	return p.Task + " (" + p.Note + ")"
}
