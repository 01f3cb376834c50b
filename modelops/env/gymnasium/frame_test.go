package gymnasium

import (
	"bytes"
	"testing"

	"diffstitch/modelops/env"

	"github.com/google/go-cmp/cmp"
)

func TestFrames(t *testing.T) {
	var pipe bytes.Buffer
	if err := writeFrame(&pipe, kindStep, appendFloats(nil, []float32{1, -2})); err != nil {
		t.Fatal(err)
	}
	kind, body, err := readFrame(&pipe, 8)
	if err != nil || kind != kindStep {
		t.Fatalf("kind %q: %v", kind, err)
	}
	values, rest := floats(body, 2)
	if d := cmp.Diff([]float32{1, -2}, values); d != "" || len(rest) != 0 {
		t.Errorf("%d bytes are left, values (-want +got):\n%s", len(rest), d)
	}
}

// FuzzReadFrame reads frames of two copies of two observation values from any
// bytes: it must not panic, nor take what it does not wholly have.
func FuzzReadFrame(f *testing.F) {
	spec := env.Spec{ObservationDim: 2, ActionDim: 1}
	for _, seed := range []struct {
		kind byte
		body []byte
	}{
		{kindHello, []byte(`{"observation_dim": 2, "action_dim": 1, "action_low": [-1], "action_high": [1], "max_steps": 5}`)},
		{kindStep, make([]byte, stepBytes(spec, 2))},
		{kindError, []byte("missing gymnasium\nno module")},
		{kindObserved, nil},
	} {
		var frame bytes.Buffer
		if err := writeFrame(&frame, seed.kind, seed.body); err != nil {
			f.Fatal(err)
		}
		f.Add(frame.Bytes())
	}
	f.Add([]byte{0, 0, 0, 0, 's'})
	f.Add([]byte{255, 255, 255, 255, 'h'})
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, body, err := readFrame(bytes.NewReader(data), stepBytes(spec, 2))
		if err != nil {
			return
		}
		if len(body) > len(data)-5 {
			t.Errorf("a body of %d bytes from %d", len(body), len(data))
		}
		switch kind {
		case kindHello:
			if s, err := parseSpec(body); err == nil && (s.ObservationDim < 1 || len(s.ActionLow) != s.ActionDim || len(s.ActionHigh) != s.ActionDim) {
				t.Errorf("taken for a specification: %+v", s)
			}
		case kindError:
			if parseError(body, "python3") == nil {
				t.Error("an error is taken for none")
			}
		default:
			if s := parseStep(body, spec, 2); len(s.Observations) != 4 || len(s.Rewards) != 2 || len(s.Terminals) != 2 || len(s.Timeouts) != 2 || len(s.Successes) != 2 {
				t.Errorf("a step of two copies: %+v", s)
			}
		}
	})
}
