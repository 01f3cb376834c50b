package flink

import (
	"bufio"
	"bytes"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// roles tells processes by their command lines.
var roles = map[string]string{
	"FlinkJobServerDriver":               JobServer,
	"StandaloneSessionClusterEntrypoint": JobManager,
	"TaskManagerRunner":                  TaskManager,
	"--worker=true":                      "worker",
	"diffstitch\x00":                     "driver",
}

// Memory is the peak resident memory of a process of each role, in KiB.
type Memory map[string]int64

// Watch looks at this machine's processes until the test ends or stop is called,
// which gives what was seen. Linux keeps each one's peak, so that only what
// comes in a process's last moments is missed.
func Watch(t testing.TB) (stop func() Memory) {
	peaks := Memory{}
	end := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for ticker := time.NewTicker(100 * time.Millisecond); ; {
			peaks.look()
			select {
			case <-end:
				ticker.Stop()
				return
			case <-ticker.C:
			}
		}
	})
	once := sync.OnceFunc(func() { close(end); watching.Wait() })
	t.Cleanup(once)
	return func() Memory { once(); return peaks }
}

// look raises the peaks.
func (m Memory) look() {
	for role, kib := range each("VmHWM", func(string) bool { return true }) {
		m[role] = max(m[role], kib)
	}
}

// Resident is the memory that this machine's processes of each role hold now, in KiB, of
// those that run in a folder that counts.
func Resident(counts func(dir string) bool) Memory {
	m := Memory{}
	for role, kib := range each("VmRSS", counts) {
		m[role] += kib
	}
	return m
}

// each gives a figure of each process that has a role and runs in a folder that counts.
// Those that end meanwhile are passed over.
func each(figure string, counts func(dir string) bool) iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		processes, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
		for _, process := range processes {
			line, err := os.ReadFile(filepath.Join(process, "cmdline"))
			if err != nil {
				continue
			}
			dir, err := os.Readlink(filepath.Join(process, "cwd"))
			if err != nil || !counts(dir) {
				continue
			}
			if role := roleOf(string(line)); role != "" && !yield(role, kibOf(process, figure)) {
				return
			}
		}
	}
}

func roleOf(commandLine string) string {
	for part, role := range roles {
		if strings.Contains(commandLine, part) {
			return role
		}
	}
	return ""
}

// Peak is the most resident memory a process, a folder in /proc, had so far, in KiB; 0
// of one that ended.
func Peak(process string) int64 { return kibOf(process, "VmHWM") }

// kibOf reads a figure of a process.
func kibOf(process, figure string) (kib int64) {
	status, _ := os.ReadFile(filepath.Join(process, "status"))
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), figure+": %d kB", &kib); err == nil {
			return kib
		}
	}
	return 0
}
