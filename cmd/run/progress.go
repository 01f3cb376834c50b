package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"diffstitch/pipelines"

	"github.com/schollz/progressbar/v3"
)

// plainEvery is how often progress is said where there is no terminal.
const plainEvery = 10 * time.Second

// reporter shows progress: a bar with a rate and the time left on a terminal,
// a plain line now and then elsewhere.
type reporter struct {
	out      io.Writer
	terminal bool

	mu   sync.Mutex
	said map[string]time.Time // by task; several may run at once
	job  string               // of the bar
	task string
	bar  *progressbar.ProgressBar
}

func newReporter() *reporter {
	info, err := os.Stderr.Stat()
	return &reporter{out: os.Stderr, said: map[string]time.Time{}, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// show takes one report of progress. It may be called from several goroutines.
func (r *reporter) show(p pipelines.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.terminal {
		r.draw(p)
		return
	}
	if (p.Total == 0 || p.Done < p.Total) && time.Since(r.said[p.Task]) < plainEvery {
		return
	}
	r.said[p.Task] = time.Now()
	fmt.Fprintln(r.out, plainLine(p))
}

func (r *reporter) draw(p pipelines.Progress) {
	same := r.bar != nil && r.job == p.Job && r.task == p.Task
	if r.bar != nil && !same && !r.bar.IsFinished() {
		if r.job == p.Job {
			return // one bar at a time: that of the task that began first
		}
		fmt.Fprintln(r.out) // a job may end with less than was foreseen
	}
	if !same {
		r.job, r.task, r.bar = p.Job, p.Task, newBar(r.out, p)
	}
	if p.Total > 0 {
		r.bar.ChangeMax64(p.Total)
	}
	r.bar.Describe(describe(p))
	_ = r.bar.Set64(p.Done) // a bar that cannot be drawn is no failure
}

// newBar is a bar, or a turning mark where the total is not known.
func newBar(out io.Writer, p pipelines.Progress) *progressbar.ProgressBar {
	total := p.Total
	if total == 0 {
		total = -1
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(p.Unit), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionOnCompletion(func() { fmt.Fprintln(out) }),
	)
}

// plainLine says the rate and the time left in one line.
func plainLine(p pipelines.Progress) string {
	line := fmt.Sprintf("%s: %d %s", describe(p), p.Done, p.Unit)
	if p.Total > 0 {
		line = fmt.Sprintf("%s: %d of %d %s", describe(p), p.Done, p.Total, p.Unit)
	}
	if p.Rate > 0 {
		line += fmt.Sprintf(", %.1f a second", p.Rate)
	}
	if p.Rate > 0 && p.Total > 0 {
		left := time.Duration(float64(p.Total-p.Done) / p.Rate * float64(time.Second)).Round(time.Second)
		line += fmt.Sprintf(", %s left", left)
	}
	return line
}

func describe(p pipelines.Progress) string {
	if p.Note == "" {
		return p.Task
	}
	return p.Task + " (" + p.Note + ")"
}
