package catalog

import (
	"errors"
	"strings"
	"testing"

	"diffstitch/modelops/env"
	"diffstitch/modelops/env/pointmaze"
)

func TestOpen(t *testing.T) {
	v, err := Open(t.Context(), "", pointmaze.Name, 2)
	if err != nil || v.Spec().Name != pointmaze.Name {
		t.Errorf("%v: %v", v, err)
	}
	s, err := OpenSimulator(t.Context(), "", pointmaze.Name)
	if err != nil || s.Spec().Name != pointmaze.Name {
		t.Errorf("%v: %v", s, err)
	}
	if v, err := Open(t.Context(), "", "", 2); v != nil || !errors.Is(err, env.ErrUnknown) {
		t.Errorf("no name opens %v: %v", v, err)
	}
	if v, err := Open(t.Context(), "/no/such/python", "Hopper-v5", 2); v != nil || err == nil {
		t.Errorf("no Python opens %v: %v", v, err)
	}
	if _, err := Open(t.Context(), "no-such-python", "pointmase", 2); err == nil || !strings.Contains(err.Error(), "pointmaze is built in") {
		t.Errorf("a misspelt name: %v", err)
	}
	if s, err := OpenSimulator(t.Context(), "/no/such/python", "Hopper-v5"); s != nil || err == nil {
		t.Errorf("no Python opens %v: %v", s, err)
	}
}
