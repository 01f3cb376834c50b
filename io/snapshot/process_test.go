package snapshot

import (
	"encoding/json"
	"os/exec"
	"testing"
)

// TestEnded: a claim is known to be a dead process's on the machine that it ran on.
func TestEnded(t *testing.T) {
	here := self()
	if here == nil {
		t.Skip("/proc does not tell processes apart here")
	}
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	child := *here
	child.PID = other.Process.Pid
	child.Start = startOf(child.PID)
	elsewhere, before := child, child
	elsewhere.Boot, before.Start = "another", "1"
	check := func(name string, p *process, want bool) {
		raw, err := json.Marshal(holder{Process: p})
		if err != nil {
			t.Fatal(err)
		}
		if got := hasEnded(raw); got != want {
			t.Errorf("%s has ended: %v", name, got)
		}
	}
	check("a process that is not known", nil, false)
	check("this process", here, false)
	check("a process that runs", &child, false)
	check("one that had its PID before", &before, true)
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // it was killed
	check("one that was killed", &child, true)
	check("one of another machine", &elsewhere, false)
	if hasEnded([]byte("{")) {
		t.Error("what is no claim is a dead one's")
	}
}
