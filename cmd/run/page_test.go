package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"diffstitch/testing/fixture"
)

// page is a page of docs whose commands are run.
type page struct {
	name    string
	modules []string            // what its Python needs
	printed map[string][]string // what its blocks print, by their names
	needs   map[string][]string // what the Python of some blocks needs besides
	before  func(block string)  // what is to be there before a block
	env     []string
}

// run runs the page's blocks in order: its shell with this program, in a folder.
func (p page) run(t *testing.T, dir string) {
	bin := t.TempDir()
	command := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", asCommand, os.Args[0])
	if err := os.WriteFile(filepath.Join(bin, "diffstitch"), []byte(command), 0o755); err != nil {
		t.Fatal(err)
	}
	done := map[string]bool{}
	for _, block := range fixture.Blocks(t, p.name) {
		if block.Name == fixture.Untested {
			continue
		}
		if p.before != nil {
			p.before(block.Name)
		}
		done[block.Name] = true
		t.Run(block.Name, func(t *testing.T) { p.runBlock(t, block, dir, bin) })
	}
	for name := range p.printed {
		if !done[name] {
			t.Errorf("docs/%s has no block %q", p.name, name)
		}
	}
}

func (p page) runBlock(t *testing.T, block fixture.Block, dir, bin string) {
	program := exec.Command("bash", "-euc", block.Code)
	if block.Language == "python" {
		program = exec.Command(fixture.Python(t, append(p.needs[block.Name], p.modules...)...), "-W", "error", "-c", block.Code)
	}
	program.Dir, program.Env = dir, append(append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")), p.env...)
	out, err := program.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range p.printed[block.Name] {
		if !regexp.MustCompile("(?m)" + want).Match(out) {
			t.Errorf("it printed no %q:\n%s", want, out)
		}
	}
}
