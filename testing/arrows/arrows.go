// Package arrows holds the direction of the imports between the repository's
// packages: cmd → pipelines → transforms → {modelops, io/attempt, io/trajectory}, and
// pipelines → io, each package by the arrows that the table of ARCHITECTURE.md lists
// and by no others; which layers know Beam, GoMLX or a Parquet library; and who opens
// files.
package arrows

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "diffstitch"

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
	err := each(root, func(file string, imports []string) {
		test := strings.HasSuffix(file, "_test.go")
		if reason := unknown(path.Dir(file)); reason != "" {
			violations = append(violations, Violation{File: file, Reason: reason})
			return
		}
		for _, imported := range imports {
			if reason := forbids(path.Dir(file), imported, test); reason != "" {
				violations = append(violations, Violation{file, imported, reason})
			}
		}
	})
	return violations, err
}

// Unused lists the packages of the table that are not below root, and the arrows that
// no import follows.
func Unused(root fs.FS) (lines []string, err error) {
	followed := map[string]map[string]bool{}
	err = each(root, func(file string, imports []string) {
		from := path.Dir(file)
		if followed[from] == nil {
			followed[from] = map[string]bool{}
		}
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		for _, imported := range imports {
			if to, own := strings.CutPrefix(imported, module+"/"); own {
				followed[from][to] = true
			}
		}
	})
	for _, from := range Packages() {
		if followed[from] == nil {
			lines = append(lines, from+" is in the table and nowhere else")
			continue
		}
		for _, to := range arrows[from] {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(followed[from])), func(pkg string) bool { return matches(to, pkg) }) {
				lines = append(lines, fmt.Sprintf("%s imports no %s", from, to))
			}
		}
	}
	return lines, err
}

// Packages lists those of the table.
func Packages() []string { return slices.Sorted(maps.Keys(arrows)) }

// each hands out the Go files below root, slash-separated, and what they import.
func each(root fs.FS, use func(file string, imports []string)) error {
	return fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("arrows: %w", err)
		case entry.IsDir() && skipped(entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(file) != ".go":
			return nil
		}
		imports, err := importsOf(root, file)
		if err != nil {
			return fmt.Errorf("arrows: %w", err)
		}
		use(file, imports)
		return nil
	})
}

// skipped is whether the go command ignores a folder of this name, too.
func skipped(name string) bool {
	return name == "testdata" || name == "vendor" || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") && name != "."
}

func importsOf(root fs.FS, file string) (imports []string, err error) {
	source, err := fs.ReadFile(root, file)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", file, spec.Path.Value, err)
		}
		imports = append(imports, imported)
	}
	return imports, nil
}

// unknown says that a package is not in the tables, or nothing.
func unknown(pkg string) string {
	name, _, _ := strings.Cut(pkg, "/")
	if _, known := layers[name]; !known {
		return fmt.Sprintf("%q is no layer: add it to the tables in testing/arrows", name)
	}
	if _, known := arrows[pkg]; !known && name != "testing" {
		return fmt.Sprintf("%q is not in the table in testing/arrows: add it there and in ARCHITECTURE.md", pkg)
	}
	return ""
}

// forbids says what an import by a package breaks, or nothing. Tests import any
// package: arrows are about what ships.
func forbids(from, imported string, test bool) string {
	name, _, _ := strings.Cut(from, "/")
	l := layers[name]
	to, own := strings.CutPrefix(imported, module+"/")
	parquet := within(imported, parquetLibraries) && from != parquetPackage
	switch {
	case within(imported, l.never):
		return name + " never imports it, tests included"
	case test || name == "testing":
		return ""
	case within(imported, l.neverOutsideTests):
		return name + " imports it in tests alone"
	case parquet:
		return "only " + parquetPackage + " imports a Parquet library"
	case within(imported, tableLibraries) && from != tablePackage:
		return "only " + tablePackage + " imports a library of tables"
	case own && within(to, []string{"testing"}):
		return name + " imports testing/ in tests alone"
	case own && !slices.ContainsFunc(arrows[from], func(pattern string) bool { return matches(pattern, to) }):
		return from + " imports only " + strings.Join(arrows[from], ", ")
	}
	return ""
}

// matches is whether a package is the one that an entry of the table names, or, of an
// entry that ends in /..., one below it.
func matches(entry, pkg string) bool {
	tree, all := strings.CutSuffix(entry, "/...")
	if all {
		return within(pkg, []string{tree})
	}
	return pkg == entry
}

// within is whether a package is one of the trees or below one.
func within(pkg string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		return pkg == tree || strings.HasPrefix(pkg, tree+"/")
	})
}
