package table

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

func sortedLines(lines []string) []string {
	slices.Sort(lines)
	return lines
}

// TestCatalogs has catalogs that cannot be used, and what is said of them.
func TestCatalogs(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "catalog.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options Options
		is      error
		says    string
	}{
		"none":               {Options{Table: "a.b"}, ErrOptions, "give a SQLite file"},
		"unknown":            {Options{Catalog: "hive://h:1", Table: "a.b"}, ErrOptions, "hive://h:1"},
		"no name":            {Options{Catalog: "c.db"}, ErrOptions, "NAMESPACE.NAME"},
		"no namespace":       {Options{Catalog: "c.db", Table: "b"}, ErrOptions, "NAMESPACE.NAME"},
		"a path for a name":  {Options{Catalog: "c.db", Table: "../a.b"}, ErrOptions, "NAMESPACE.NAME"},
		"no database":        {Options{Catalog: text, Table: "a.b"}, ErrCatalog, "catalog.txt"},
		"no folder":          {Options{Catalog: filepath.Join(dir, "none", "c.db"), Table: "a.b"}, ErrCatalog, "in a folder that is there"},
		"a folder":           {Options{Catalog: dir, Table: "a.b"}, ErrCatalog, dir},
		"a bucket":           {Options{Catalog: filepath.Join(dir, "c.db"), Warehouse: "s3://b/w", Table: "a.b"}, ErrOptions, "file systems alone"},
		"a space":            {Options{Catalog: filepath.Join(dir, "c.db"), Warehouse: "my warehouse", Table: "a.b"}, ErrOptions, "only characters"},
		"a password":         {Options{Catalog: "https://me:hunter2@example.invalid", Table: "a.b"}, ErrOptions, TokenVariable},
		"a key":              {Options{Catalog: "https://example.invalid?key=hunter2", Table: "a.b"}, ErrOptions, TokenVariable},
		"nobody listens":     {Options{Catalog: "http://127.0.0.1:1", Table: "a.b"}, ErrCatalog, "http://127.0.0.1:1"},
		"an address missing": {Options{Catalog: "http://", Table: "a.b"}, ErrOptions, "no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			_, err := Publish(t.Context(), test.options, p.snapshot(t, 2), Replace)
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want one that is %v and says %q", err, test.is, test.says)
			}
		})
	}
}

// TestSecretsGoByTLS: none leaves the machine as it is.
func TestSecretsGoByTLS(t *testing.T) {
	t.Setenv(TokenVariable, "hunter2")
	for catalog, allowed := range map[string]bool{
		"http://example.invalid": false, "https://example.invalid": true, "http://localhost:1": true, "http://127.0.0.1:1": true, "http://[::1]:1": true,
	} {
		_, err := Options{Catalog: catalog}.restOptions()
		if (err == nil) != allowed || err != nil && !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v, want it allowed: %v", catalog, err, allowed)
		}
	}
}

func TestNothingToShow(t *testing.T) {
	p := newPlace(t)
	if _, err := Show(t.Context(), p.Options); !errors.Is(err, ErrCatalog) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a catalog: %v", err)
	}
	if _, err := os.Stat(p.Catalog); err == nil {
		t.Error("showing made a catalog")
	}
	p.publish(t, p.snapshot(t, 2), Replace)
	for _, name := range []string{"rl.other", "other.dstar"} {
		o := p.Options
		o.Table = name
		if _, err := Show(t.Context(), o); !errors.Is(err, ErrNoTable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCatalogByURL: a path and its URL are one catalog.
func TestCatalogByURL(t *testing.T) {
	p := newPlace(t)
	p.publish(t, p.snapshot(t, 2), Replace)
	for _, url := range []string{"sqlite://" + p.Catalog, "sqlite:///" + p.Catalog} {
		o := p.Options
		o.Catalog = url
		if d, err := Show(t.Context(), o); err != nil || len(d.Snapshots) != 1 {
			t.Errorf("%s: %v, %+v", url, err, d)
		}
	}
}

func TestURI(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/a/b.parquet": "file:///a/b.parquet", "/a/../c d/é": "file:///c d/é", "file:///a": "file:///a",
		"a": "file://" + here + "/a", "gs://b/a": "gs://b/a", "s3://b/a": "s3://b/a",
		"/a%20b": "", "/a?b": "", "/a#b": "", "/a\nb": "", "ftp://a/b": "",
	} {
		got, err := URI(path)
		if got != want || (err != nil) != (want == "") || err != nil && !errors.Is(err, ErrOptions) {
			t.Errorf("URI(%q) = %q, %v, want %q", path, got, err, want)
		}
	}
}

// TestForeign has a table that something else made.
func TestForeign(t *testing.T) {
	p := newPlace(t)
	s := p.snapshot(t, 2)
	c, err := p.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	schema := iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "episode_id", Type: iceberg.PrimitiveTypes.Int64})
	if err := c.CreateNamespace(t.Context(), table.Identifier{"rl"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateTable(t.Context(), table.Identifier{"rl", "dstar"}, schema); err != nil {
		t.Fatal(err)
	}
	if _, err := Publish(t.Context(), p.Options, s, Append); !errors.Is(err, ErrForeign) {
		t.Errorf("error %v", err)
	}
}

// TestStopped: a publisher that was stopped says so, and the table stays as it was.
func TestStopped(t *testing.T) {
	p := newPlace(t)
	p.publish(t, p.snapshot(t, 2), Replace)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Publish(stopped, p.Options, p.snapshot(t, 3), Replace); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := len(p.show(t).Snapshots); got != 1 {
		t.Errorf("the table has %d snapshots, want one", got)
	}
}
