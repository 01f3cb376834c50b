package flink

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"diffstitch/pipelines/stream"
	"diffstitch/testing/fixture"
)

// Product is bin/diffstitch with the flags of a way to run it.
type Product struct {
	Name  string // of the way
	Flags []string
	Env   []string
}

// On runs the product on this Flink, with workers in the driver (LOOPBACK) or in
// processes that the TaskManagers start (PROCESS).
func (f *Flink) On(environment string) Product {
	return Product{
		Name:  "Flink " + f.Kind + ", " + environment,
		Flags: []string{"--runner", "flink", "--endpoint", f.Endpoint, "--environment_type", environment},
	}
}

// Command is a run of the product in a folder.
func (p Product) Command(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(fixture.Root(t), "bin/diffstitch")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: make build boot builds it", err)
	}
	cmd := exec.CommandContext(t.Context(), binary, append(args, p.Flags...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), p.Env...)
	return cmd
}

// Run runs the product, which must come to a good end, and gives what it printed.
func (p Product) Run(t testing.TB, dir string, args ...string) []byte {
	t.Helper()
	cmd := p.Command(t, dir, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s", p.Name, cmd, err, said.Bytes())
	}
	return out
}

// RunJSON runs a command with --json, and reads what it printed.
func RunJSON[T any](t testing.TB, p Product, dir string, args ...string) (result T) {
	t.Helper()
	out := p.Run(t, dir, append(args, "--json")...)
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatalf("%s: %v\n%s", p.Name, err, out)
	}
	return result
}

// Streaming is a stream that runs.
type Streaming struct {
	command       *exec.Cmd
	printed, said bytes.Buffer
}

// Stream starts a stream in a folder.
func (p Product) Stream(t testing.TB, dir string, args ...string) *Streaming {
	t.Helper()
	s := &Streaming{command: p.Command(t, dir, append([]string{"stream", "--json"}, args...)...)}
	s.command.Stdout, s.command.Stderr = &s.printed, &s.said
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Drain asks a stream to end, which must go well, and gives what it came to.
func (s *Streaming) Drain(t testing.TB) (came stream.Summary) {
	t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Minute, func() { _ = s.command.Process.Kill() }) // the test fails then
	defer timer.Stop()
	if err := s.command.Wait(); err != nil {
		t.Fatalf("the stream did not end well: %v\n%s", err, s.said.Bytes())
	}
	if err := json.Unmarshal(s.printed.Bytes(), &came); err != nil {
		t.Fatalf("%v: %q", err, s.printed.Bytes())
	}
	return came
}
