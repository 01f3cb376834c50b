package engine

import (
	"errors"
	"testing"

	"diffstitch/pipelines/failure"
)

// TestRootCause takes errors as they come out of Beam.
func TestRootCause(t *testing.T) {
	const plan = "executing stage 3\n\tcaused by:\nDoFn[UID:7, PID:stage, Name: datasetio.scanFn" + doFnFailed
	tests := []struct {
		name, message, want string
		data                bool
	}{
		{"of a DoFn", plan + "training: no windows\n", "training: no windows", false},
		{"rejected data", plan + "scan: data rejected: 3 of 4 files", "scan: data rejected: 3 of 4 files", true},
		{"of the runner", "no such job", "no such job", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := rootCause(errors.New(test.message))
			if got.Error() != test.want || errors.Is(got, failure.ErrData) != test.data {
				t.Errorf("%q, of data: %v; want %q, %v", got, errors.Is(got, failure.ErrData), test.want, test.data)
			}
		})
	}
}
