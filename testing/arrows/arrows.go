// Package arrows checks the imports of every Go file against the direction that they
// may take between the repository's layers: cmd → pipelines → transforms → {modelops, io/attempt, io/trajectory}, and
// pipelines → io; which layers know Beam or GoMLX; and who opens files.
package arrows

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "diffstitch"

const (
	beam  = "github.com/apache/beam"
	gomlx = "github.com/gomlx"
)

// layer is a folder at the root and what its packages may import.
type layer struct {
	// may lists what it imports of this module, packages below included.
	may []string
	// never lists what it does not import of the rest, tests included.
	never []string
	// neverOutsideTests lists what only its tests import.
	neverOutsideTests []string
}

// layers is the table of ARCHITECTURE.md, from the top down. Tests import any layer: arrows
// are about what ships.
var layers = map[string]layer{
	"cmd":       {may: []string{"cmd", "pipelines", "transforms", "io", "modelops"}, never: []string{gomlx}},
	"pipelines": {may: []string{"pipelines", "transforms", "io", "modelops"}, never: []string{gomlx}},
	"transforms": {
		may:               []string{"transforms", "modelops", "io/attempt", "io/trajectory"},
		never:             []string{gomlx},
		neverOutsideTests: opensFiles,
	},
	"modelops": {may: []string{"modelops"}, never: []string{beam}},
	"io":       {may: []string{"io"}, never: []string{gomlx}},
	"testing":  {may: []string{"testing", "pipelines", "transforms", "io", "modelops"}},
}

// opensFiles are packages that reach a disk, a bucket or a network.
var opensFiles = []string{
	"os", "io/fs", "io/ioutil", "embed", "net", "syscall",
	"cloud.google.com/go/storage",
	beam + "/sdks/v2/go/pkg/beam/io",
	"github.com/parquet-go/parquet-go",
	"github.com/apache/arrow-go",
}

// Violation is one import against the arrows.
type Violation struct {
	File   string // slash-separated, from the root
	Import string
	Reason string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s imports %q: %s", v.File, v.Import, v.Reason)
}

// Check reads the imports of every Go file below root, whatever its build tags.
func Check(root fs.FS) ([]Violation, error) {
	var violations []Violation
	err := fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(file) != ".go":
			return nil
		}
		found, err := checkFile(root, file)
		violations = append(violations, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("arrows: %w", err)
	}
	return violations, nil
}

// skipped is whether the go command ignores a folder of this name, too.
func skipped(name string) bool {
	return name == "testdata" || name == "vendor" || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") && name != "."
}

func checkFile(root fs.FS, file string) ([]Violation, error) {
	source, err := fs.ReadFile(root, file)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(file, "/")
	from, known := layers[name]
	if !known {
		return []Violation{{File: file, Reason: fmt.Sprintf("%q is no layer: add it to the table in testing/arrows", name)}}, nil
	}
	var violations []Violation
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", file, spec.Path.Value, err)
		}
		if reason := from.forbids(imported, strings.HasSuffix(file, "_test.go")); reason != "" {
			violations = append(violations, Violation{file, imported, name + " " + reason})
		}
	}
	return violations, nil
}

// forbids says what an import breaks, or nothing.
func (l layer) forbids(imported string, test bool) string {
	inside, own := strings.CutPrefix(imported, module+"/")
	switch {
	case within(imported, l.never):
		return "never imports it, tests included"
	case test:
		return ""
	case within(imported, l.neverOutsideTests):
		return "imports it in tests alone"
	case own && within(inside, []string{"testing"}) && !within("testing", l.may):
		return "imports testing/ in tests alone"
	case own && !within(inside, l.may):
		return "imports only " + strings.Join(l.may, ", ")
	}
	return ""
}

// within is whether a package is one of the trees or below one.
func within(pkg string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		return pkg == tree || strings.HasPrefix(pkg, tree+"/")
	})
}
