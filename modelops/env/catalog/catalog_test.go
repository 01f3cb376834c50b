package catalog

import (
	"errors"
	"strings"
	"testing"

	"diffstitch/modelops/env"
	"diffstitch/modelops/env/pointmaze"
)

func TestOpen(t *testing.T) {
	v, err := Open(t.Context(), "", pointmaze.Name, nil, 2)
	if err != nil || v.Spec().Name != pointmaze.Name {
		t.Errorf("%v: %v", v, err)
	}
	s, err := OpenSimulator(t.Context(), "", pointmaze.Name, nil)
	if err != nil || s.Spec().Name != pointmaze.Name {
		t.Errorf("%v: %v", s, err)
	}
	if v, err := Open(t.Context(), "", "", nil, 2); v != nil || !errors.Is(err, env.ErrUnknown) {
		t.Errorf("no name opens %v: %v", v, err)
	}
	if v, err := Open(t.Context(), "/no/such/python", "Hopper-v5", nil, 2); v != nil || err == nil {
		t.Errorf("no Python opens %v: %v", v, err)
	}
	if _, err := Open(t.Context(), "no-such-python", "pointmase", nil, 2); err == nil || !strings.Contains(err.Error(), "pointmaze is built in") {
		t.Errorf("a misspelt name: %v", err)
	}
	if s, err := OpenSimulator(t.Context(), "/no/such/python", "Hopper-v5", nil); s != nil || err == nil {
		t.Errorf("no Python opens %v: %v", s, err)
	}
}
