package observe

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"strings"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness" // its hook comes first
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
)

// loggingHook has workers send their records to the runner.
const loggingHook = "diffstitch_logging"

func init() {
	hooks.RegisterHook(loggingHook, func([]string) hooks.Hook {
		return hooks.Hook{Init: func(ctx context.Context) (context.Context, error) {
			if isWorker() { // a driver with workers in its process keeps its own log
				slog.SetDefault(slog.New(newRunnerHandler()))
			}
			return ctx, nil
		}}
	})
	// After the SDK's own, which connects its log to the runner's service: until
	// then that log comes back to slog.
	if err := hooks.EnableHook(loggingHook); err != nil {
		panic(err) // registered above
	}
}

func isWorker() bool {
	f := flag.Lookup("worker")
	return f != nil && f.Value.String() == "true"
}

// LogInWorker has this process log JSON on its standard error, until it is
// connected to a runner's logging service, and where that fails. It comes before
// beam.Init.
func LogInWorker() { beamlog.LogKind = "json" }

// LogInDriver has this process log text on its standard error. What fails a run
// comes back as its error: the runner's own log is for those who ask for it.
func LogInDriver(verbose bool) {
	level := slog.LevelError + 1
	if verbose {
		level = slog.LevelInfo
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
}

// runnerHandler sends records to the runner through the SDK, whose entries are
// text: the message and its fields are a line of JSON.
type runnerHandler struct {
	// with makes a handler that has the groups and fields of this one.
	with func(io.Writer) slog.Handler
	send func(ctx context.Context, severity beamlog.Severity, message string)
}

func newRunnerHandler() runnerHandler {
	return runnerHandler{
		with: func(w io.Writer) slog.Handler {
			return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTimeAndLevel})
		},
		send: func(ctx context.Context, severity beamlog.Severity, message string) {
			beamlog.Output(ctx, severity, 4, message) // from the frame that logs through slog
		},
	}
}

// withoutTimeAndLevel leaves out what the runner's entries say themselves.
func withoutTimeAndLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

// Enabled leaves out what is for debugging.
func (h runnerHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle sends a record.
func (h runnerHandler) Handle(ctx context.Context, r slog.Record) error {
	var line bytes.Buffer
	if err := h.with(&line).Handle(ctx, r); err != nil {
		return err
	}
	h.send(ctx, severity(r.Level), strings.TrimSpace(line.String()))
	return nil
}

func severity(level slog.Level) beamlog.Severity {
	switch {
	case level >= slog.LevelError:
		return beamlog.SevError
	case level >= slog.LevelWarn:
		return beamlog.SevWarn
	}
	return beamlog.SevInfo
}

// WithAttrs adds fields to every record.
func (h runnerHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return runnerHandler{func(w io.Writer) slog.Handler { return h.with(w).WithAttrs(attrs) }, h.send}
}

// WithGroup puts the fields that follow into a group.
func (h runnerHandler) WithGroup(name string) slog.Handler {
	return runnerHandler{func(w io.Writer) slog.Handler { return h.with(w).WithGroup(name) }, h.send}
}
