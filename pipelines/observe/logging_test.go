package observe

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/google/go-cmp/cmp"
)

func TestRunnerHandler(t *testing.T) {
	type entry struct {
		Severity beamlog.Severity
		Message  string
	}
	var sent []entry
	h := newRunnerHandler()
	h.send = func(_ context.Context, severity beamlog.Severity, message string) {
		sent = append(sent, entry{severity, message})
	}
	log := slog.New(h)
	log.Debug("an element", "index", 1)
	log.Info("trained", "stage", "training", "model", "denoiser")
	log.With("run", "r1").WithGroup("batch").Warn("tried again", "index", 3, "error", errors.New("no memory"))
	log.Error("gave up", "error", errors.New("disk full"))
	want := []entry{
		{beamlog.SevInfo, `{"msg":"trained","stage":"training","model":"denoiser"}`},
		{beamlog.SevWarn, `{"msg":"tried again","run":"r1","batch":{"index":3,"error":"no memory"}}`},
		{beamlog.SevError, `{"msg":"gave up","error":"disk full"}`},
	}
	if d := cmp.Diff(want, sent); d != "" {
		t.Error(d)
	}
}
