package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"b.parquet", "a.parquet", "deep/c.parquet", "notes.txt", ".hidden.parquet", "_temporary.parquet", "_staged/d.parquet", ".cache/e.parquet",
		"published/CURRENT", "published/snapshots/0001/data/part-0.parquet", "published/snapshots/0002/data/part-0.parquet", "published/snapshots/0002/data/part-1.parquet",
		"broken/CURRENT", "bare/readme.md",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		content := ""
		switch name {
		case "published/CURRENT":
			content = "0002\n"
		case "broken/CURRENT":
			content = "../../etc\n"
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		path string
		want []string
		err  string // part of the error
	}{
		{path: "a.parquet", want: []string{"a.parquet"}},
		{path: "notes.txt", want: []string{"notes.txt"}}, // named, so tried
		{path: "*.parquet", want: []string{".hidden.parquet", "_temporary.parquet", "a.parquet", "b.parquet"}},
		{path: "?.parquet", want: []string{"a.parquet", "b.parquet"}},
		{path: "deep", want: []string{"deep/c.parquet"}},
		{path: "published", want: []string{"published/snapshots/0002/data/part-0.parquet", "published/snapshots/0002/data/part-1.parquet"}},
		{path: "broken", err: "names no snapshot"},
		{path: "bare", err: "it holds no *.parquet"},
		{path: "absent", err: "no such file or folder"},
		{path: "absent/*.parquet", err: "nothing matches"},
		{path: "[", err: "syntax error"},
	}
	for _, test := range tests {
		got, err := Files(filepath.Join(dir, test.path))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: got %v, want %q", test.path, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
		}
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], dir+"/")
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.path, diff)
		}
	}
	got, err := Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 6 || got[0] != filepath.Join(dir, "a.parquet") {
		t.Errorf("the folder: %v", got)
	}
	if _, err := Files(filepath.Join(dir, "absent")); !errors.Is(err, ErrNoFiles) {
		t.Errorf("got %v", err)
	}
}
