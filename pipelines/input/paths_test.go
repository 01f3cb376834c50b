package input_test

import (
	"errors"
	"strings"
	"testing"

	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

func TestAbsoluteKeepsURLs(t *testing.T) {
	remote, local := "gs://bucket/a b/..//c", "data"
	if err := input.Absolute(&remote, &local); err != nil {
		t.Fatal(err)
	}
	if remote != "gs://bucket/a b/..//c" || !strings.HasPrefix(local, "/") {
		t.Errorf("%q and %q", remote, local)
	}
	other := "hdfs://host/data"
	if err := input.Absolute(&other); !errors.Is(err, failure.ErrUsage) || !strings.Contains(err.Error(), "gs:// and s3://") {
		t.Errorf("%v", err)
	}
	if err := input.Local("s3://bucket/out"); !errors.Is(err, failure.ErrUsage) {
		t.Errorf("%v", err)
	}
}

func TestApartOnObjectStores(t *testing.T) {
	for _, test := range []struct {
		data, out string
		apart     bool
	}{
		{"gs://bucket/data", "gs://bucket/out", true},
		{"gs://bucket/data", "gs://bucket/data2", true},
		{"gs://bucket/data", "gs://bucket/data/out", false},
		{"gs://bucket", "gs://bucket/out", false},
		{"gs://bucket/data/*", "gs://bucket/data/out", false},
		{"gs://bucket/data", "s3://bucket/data/out", true},
		{"gs://bucket/out", "gs://bucket/out", true},
		{"/data", "/data/out", false},
		{"/", "/out", false},
	} {
		if err := input.Apart(test.data, test.out); (err == nil) != test.apart {
			t.Errorf("%s and %s: %v", test.data, test.out, err)
		}
	}
}
