// Command run is diffstitch: it grows a trajectory dataset for offline
// reinforcement learning by stitching low-return episodes to high-return ones
// (DiffStitch, Li et al., ICML 2024). The same binary is Beam's worker.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"syscall"

	"diffstitch/io/snapshot"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/observe"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// Exit codes.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitRejected  = 3
	exitOvertaken = 4 // another publication was faster: nothing was published
	exitInUse     = 5 // another run is at work in the same folder: nothing was begun
	exitRefused   = 6 // a quality gate refused what was made: nothing was published
)

func main() {
	debug.SetTraceback("crash") // the runtime's own end is no wrong usage, which its exit code 2 would say
	if isWorker(os.Args[1:]) {
		discardCopy()
		flag.Parse()
		observe.LogInWorker()
		beam.Init() // does not come back
	}
	beam.Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// isWorker says whether Beam started this process as one of its workers.
func isWorker(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		return arg == "--worker" || arg == "-worker" || arg == "--worker=true" || arg == "-worker=true"
	})
}

// bootCopy is where Beam's boot program copies the binary to for each worker that
// it starts. It leaves the copies behind, which would fill the disk of a machine
// that serves many jobs.
const bootCopy = "/tmp/bin*/worker"

// discardCopy removes the copy that this worker runs from; the kernel keeps it
// until the worker ends.
func discardCopy() {
	self, err := os.Executable()
	if err != nil {
		return
	}
	if ours, _ := filepath.Match(bootCopy, self); ours { // the pattern is well formed
		_ = errors.Join(os.Remove(self), os.Remove(filepath.Dir(self))) // what stays does no harm to this job
	}
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if errors.Is(err, failure.ErrNotRun) {
		fmt.Fprintln(os.Stderr, "diffstitch:", err)
		return exitDone
	}
	if failure.Interrupted(err) {
		fmt.Fprintln(os.Stderr, "diffstitch: interrupted: run the same command again, what is finished stays")
		return exitFailed
	}
	fmt.Fprintln(os.Stderr, "diffstitch:", withoutSecrets(err.Error()))
	return exitCode(err)
}

// userinfo is a name, and perhaps a password, in an address.
var userinfo = regexp.MustCompile(`://([^/\s"@:]*:[^\s"]*|[^/\s"@]*)@`)

// withoutSecrets leaves out what an address that was given holds, since errors go to logs.
func withoutSecrets(text string) string { return userinfo.ReplaceAllString(text, "://…@") }

func exitCode(err error) int {
	switch {
	case errors.Is(err, failure.ErrUsage):
		return exitUsage
	case errors.Is(err, failure.ErrData):
		return exitRejected
	case errors.Is(err, snapshot.ErrOvertaken):
		return exitOvertaken
	case errors.Is(err, snapshot.ErrLocked):
		return exitInUse
	case errors.Is(err, failure.ErrRefused):
		return exitRefused
	}
	return exitFailed
}
