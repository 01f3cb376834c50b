package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// process tells processes of all machines apart, by what Linux tells of them.
type process struct {
	Boot  string `json:"boot"`      // of the machine
	Space string `json:"namespace"` // in which the PID is one
	PID   int    `json:"pid"`
	Start string `json:"start"` // in ticks since the boot
}

// self is this process; nil where the system does not tell.
func self() *process {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nil
	}
	p := &process{Boot: strings.TrimSpace(string(boot)), Space: space, PID: os.Getpid()}
	if p.Start = startOf(p.PID); p.Start == "" {
		return nil
	}
	return p
}

// startOf is when a process of this machine began; "" where there is none.
func startOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field, in parentheses, may hold anything; the 22nd is the start.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// hasEnded is whether the process that wrote a claim ended, as far as this machine knows.
func hasEnded(claim []byte) bool {
	var h holder
	if json.Unmarshal(claim, &h) != nil || h.Process == nil {
		return false
	}
	here := self()
	return here != nil && here.Boot == h.Process.Boot && here.Space == h.Process.Space && startOf(h.Process.PID) != h.Process.Start
}
