// Package inference is what the DoFns that run models share: one session a
// process, opened on Setup and released on Teardown, and the metrics of its
// calls.
package inference

import (
	"context"
	"fmt"
	"time"

	"diffstitch/modelops/session"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// Models gives a DoFn that embeds it the models of a run.
type Models struct {
	Options session.Options `json:"session"`

	session *session.Session // set by Setup, never serialized
}

// Setup opens the session, or joins the one that the process has.
func (m *Models) Setup() (err error) {
	if m.session, err = session.Shared(m.Options); err != nil {
		return fmt.Errorf("inference: opening the models in %q: %w", m.Options.Dir, err)
	}
	return nil
}

// Teardown gives the session back.
func (m *Models) Teardown() {
	if m.session != nil {
		m.session.Release()
	}
}

// Session runs the models.
func (m *Models) Session() *session.Session { return m.session }

// Clock adds the time until the returned function is called to a distribution,
// in milliseconds.
func Clock(ctx context.Context, latency beam.Distribution) (stop func()) {
	start := time.Now()
	return func() { latency.Update(ctx, time.Since(start).Milliseconds()) }
}
