package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"diffstitch/testing/fixture"
	"diffstitch/testing/stores"
)

// python finds the blocks of Python in a page.
var python = regexp.MustCompile("(?ms)^```python.*?\n(.*?)^```$")

// recipes are the programs of a page that read what is published.
func recipes(t *testing.T, page string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(fixture.Root(t), page))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range python.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(block[1], "CURRENT") {
			found = append(found, block[1])
		}
	}
	return found
}

// twice publishes two snapshots, of which the second has files of the first, and beside them a
// third that CURRENT does not name. It gives the number of rows that are to be read.
func twice(t *testing.T, out string) int64 {
	t.Helper()
	fixture.Published(t, out, fixture.Maze(3, 1)...)
	s := fixture.Grown(t, out, fixture.Maze(2, 2)...)
	fixture.Published(t, out, fixture.Maze(4, 3)...)
	if got := run(t.Context(), []string{"snapshots", "rollback", s.ID, "--out", out}); got != exitDone {
		t.Fatalf("exit code %d", got)
	}
	return s.Manifest.Rows()
}

// TestRecipes runs what the pages say of reading where there are several snapshots.
func TestRecipes(t *testing.T) {
	dir := t.TempDir()
	rows := twice(t, filepath.Join(dir, "augmented"))
	for page, test := range map[string]struct {
		recipes int
		rows    string // what has them after the recipe
	}{
		"README.md":       {1, "table"},
		"docs/pairs.md":   {1, "rows"},
		"docs/layouts.md": {2, "table"},
	} {
		found := recipes(t, page)
		if len(found) != test.recipes {
			t.Errorf("%s has %d recipes, want %d", page, len(found), test.recipes)
		}
		for i, recipe := range found {
			t.Run(fmt.Sprint(page, i), func(t *testing.T) {
				modules := []string{"pyarrow", "numpy"}
				for _, other := range []string{"pandas", "d3rlpy"} {
					if strings.Contains(recipe, other) {
						modules = append(modules, other)
					}
				}
				program := exec.Command(fixture.Python(t, modules...), "-c", recipe+"\nprint(len("+test.rows+"), 'rows')")
				program.Dir = dir
				out, err := program.CombinedOutput()
				if want := fmt.Sprintf("%d rows\n", rows); err != nil || !strings.HasSuffix(string(out), want) {
					t.Errorf("%v: %s, want %s", err, out, want)
				}
			})
		}
	}
}

// TestRecipeOnStores runs docs/snapshots.md's recipe for object stores on both kinds.
func TestRecipeOnStores(t *testing.T) {
	local := filepath.Join(t.TempDir(), "augmented")
	rows := twice(t, local)
	const uri = "s3://bucket/augmented"
	var recipe string
	for _, found := range recipes(t, "docs/snapshots.md") {
		if strings.Contains(found, uri) {
			recipe = found
		}
	}
	if recipe == "" {
		t.Fatalf("docs/snapshots.md has no recipe for %s", uri)
	}
	for _, kind := range []string{stores.S3, stores.GCS} {
		t.Run(kind, func(t *testing.T) {
			store := stores.Start(t, kind)
			copyFolder(t, local, store.Root+"/augmented")
			at := uri
			if kind == stores.GCS { // to which pyarrow is told of an emulator in the address
				_, host, _ := strings.Cut(store.Environment[0], "://")
				at = "gs://anonymous@bucket/augmented?scheme=http&endpoint_override=" + host
			}
			program := exec.Command(fixture.Python(t, "pyarrow"), "-c", strings.ReplaceAll(recipe, uri, at))
			program.Env = append(os.Environ(), "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required") // gofakes3 gives the checksum of the whole with a part
			out, err := program.CombinedOutput()
			if want := fmt.Sprintf("%d transitions\n", rows); err != nil || string(out) != want {
				t.Errorf("%v: %s, want %s", err, out, want)
			}
		})
	}
}
