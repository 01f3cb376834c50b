package arrows

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestArrows(t *testing.T) {
	violations, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// TestTableIsTight looks for packages and arrows of the table that there are not.
func TestTableIsTight(t *testing.T) {
	unused, err := Unused(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range unused {
		t.Error(line)
	}
}

// TestPageNamesEveryPackage looks for the table's packages in ARCHITECTURE.md.
func TestPageNamesEveryPackage(t *testing.T) {
	page, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range Packages() {
		if !strings.Contains(string(page), "`"+pkg+"`") {
			t.Errorf("ARCHITECTURE.md does not name %s", pkg)
		}
	}
}

func TestUnusedFinds(t *testing.T) {
	root := fstest.MapFS{"pipelines/train/train.go": {Data: []byte("package train\n\nimport _ \"diffstitch/pipelines/engine\"\n")}}
	unused, err := Unused(root)
	if err != nil {
		t.Fatal(err)
	}
	for want, found := range map[string]bool{
		"pipelines/train imports no pipelines/observe":      true,
		"pipelines/train imports no pipelines/engine":       false,
		"pipelines/engine is in the table and nowhere else": true,
		"pipelines/train is in the table and nowhere else":  false,
	} {
		if slices.Contains(unused, want) != found {
			t.Errorf("%q found: %v, want %v", want, !found, found)
		}
	}
}

func TestCheckFinds(t *testing.T) {
	tests := []struct {
		file, imported string
		allowed        bool
	}{
		{"cmd/run/train.go", "diffstitch/pipelines/train", true},
		{"cmd/run/train.go", "diffstitch/transforms/mix", true},
		{"cmd/run/train.go", "diffstitch/testing/fixture", false},
		{"cmd/run/train_test.go", "diffstitch/testing/fixture", true},
		{"pipelines/augment/augment.go", "diffstitch/io/dataset", true},
		{"pipelines/augment/augment.go", "diffstitch/modelops/session", true},
		{"pipelines/augment/augment.go", "diffstitch/cmd/run", false},
		{"pipelines/augment/augment.go", "github.com/gomlx/compute", false},
		{"transforms/pair/pair.go", "diffstitch/io/trajectory", true},
		{"transforms/pair/pair.go", "diffstitch/io/trajectoryplus", false},
		{"transforms/pair/pair.go", "diffstitch/io/dataset", false},
		{"transforms/pair/pair_test.go", "diffstitch/io/dataset", true},
		{"transforms/pair/pair.go", "diffstitch/pipelines/augment", false},
		{"transforms/pair/pair.go", "github.com/apache/beam/sdks/v2/go/pkg/beam", true},
		{"transforms/pair/pair.go", "github.com/apache/beam/sdks/v2/go/pkg/beam/io/textio", false},
		{"transforms/pair/pair.go", "io", true},
		{"transforms/pair/pair.go", "os", false},
		{"transforms/pair/pair.go", "os/exec", false},
		{"transforms/pair/pair_test.go", "os", true},
		{"modelops/session/session.go", "github.com/gomlx/gomlx/core/graph", true},
		{"modelops/session/session.go", "github.com/apache/beam/sdks/v2/go/pkg/beam", false},
		{"modelops/session/session_test.go", "github.com/apache/beam/sdks/v2/go/pkg/beam", false},
		{"modelops/session/session.go", "diffstitch/io/trajectory", false},
		{"io/dataset/read.go", "diffstitch/io/trajectory", true},
		{"io/dataset/read.go", "github.com/gomlx/gomlx/core/graph", false},
		{"io/dataset/read.go", "diffstitch/modelops/session", false},
		{"io/dataset/read.go", "diffstitch/transforms/rank", false},
		{"io/dataset/read_test.go", "diffstitch/testing/fixture", true},
		{"testing/fixture/maze.go", "diffstitch/modelops/env/pointmaze", true},
		{"pipelines/train/train.go", "diffstitch/pipelines/engine", true},
		{"pipelines/train/train.go", "diffstitch/pipelines/augment", false},
		{"pipelines/engine/flink.go", "diffstitch/pipelines/train", false},
		{"pipelines/augment/method/tatu.go", "diffstitch/pipelines/augment", false},
		{"pipelines/observe/job.go", "diffstitch/io/dataset", false},
		{"pipelines/undercroft/undercroft.go", "fmt", false},
		{"io/layout/nested/nested.go", "diffstitch/io/layout", true},
		{"io/layout/nested/nested.go", "diffstitch/io/layout/minari", false},
		{"io/layout/layout.go", "diffstitch/io/dataset", false},
		{"io/layout/conformance_test.go", "diffstitch/io/dataset", true},
		{"io/parquet/file.go", "github.com/apache/arrow-go/v18/parquet/file", true},
		{"io/dataset/open.go", "github.com/apache/arrow-go/v18/parquet/file", false},
		{"io/datasetio/records.go", "github.com/parquet-go/parquet-go", false},
		{"io/table/publish.go", "github.com/apache/iceberg-go/table", true},
		{"pipelines/table/table.go", "github.com/apache/iceberg-go/table", false},
		{"io/layout/minari/arrow.go", "github.com/apache/arrow-go/v18/arrow/ipc", true},
		{"testing/oubliette/oubliette.go", "diffstitch/io/dataset", true},
		{"utils/utils.go", "fmt", false},
		{"pipelines/testdata/bad.go", "diffstitch/cmd/run", true},
		{".cache/bad.go", "diffstitch/cmd/run", true},
	}
	for _, test := range tests {
		t.Run(test.file+" "+test.imported, func(t *testing.T) {
			source := fmt.Sprintf("//go:build never\n\npackage p\n\nimport _ %q\n", test.imported)
			found, err := Check(fstest.MapFS{test.file: {Data: []byte(source)}})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(found) == 0; got != test.allowed {
				t.Errorf("allowed: %v, want %v: %v", got, test.allowed, found)
			}
		})
	}
}

func TestViolationNamesTheArrow(t *testing.T) {
	const file = "io/dataset/read.go"
	found, err := Check(fstest.MapFS{file: {Data: []byte("package dataset\n\nimport \"diffstitch/pipelines/train\"\n")}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Violation{{File: file, Import: "diffstitch/pipelines/train", Reason: "io/dataset imports only " + strings.Join(arrows["io/dataset"], ", ")}}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestCheckReportsBrokenFiles(t *testing.T) {
	_, err := Check(fstest.MapFS{"io/dataset/read.go": {Data: []byte("not Go")}})
	if err == nil || !strings.Contains(err.Error(), "io/dataset/read.go") {
		t.Errorf("error %v, want one that names the file", err)
	}
}
