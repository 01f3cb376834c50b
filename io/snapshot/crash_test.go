package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKilledBetweenSteps stops a commit after each of its steps, as a kill
// would: nothing is cleaned up, the kernel alone drops the lock.
func TestKilledBetweenSteps(t *testing.T) {
	steps := len(new(Staging).commitSteps(new(Manifest)))
	for done := range steps + 1 {
		t.Run(fmt.Sprintf("after %d steps", done), func(t *testing.T) {
			out := t.TempDir()
			before := publish(t, out, noon)
			killed := killedAfter(t, out, done)

			got, err := Current(out)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != before && got.ID != killed {
				t.Errorf("CURRENT names %q", got.ID)
			}
			if done < steps-1 && got.ID != before {
				t.Errorf("CURRENT moved to %q before the last rename", got.ID)
			}
			whole := ids(t, out) // which reads the manifest of each
			after := publish(t, out, noon)
			if got, err := Current(out); err != nil || got.ID != after || after <= slices.Max(whole) {
				t.Errorf("the next run published %q after %q (%v)", got.ID, whole, err)
			}
		})
	}
}

func killedAfter(t *testing.T, out string, done int) (id string) {
	t.Helper()
	s, err := Begin(out, at(noon))
	if err != nil {
		t.Fatal(err)
	}
	m := fill(t, s)
	for _, step := range s.commitSteps(&m)[:done] {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
	if err := s.lock.Close(); err != nil {
		t.Fatal(err)
	}
	return s.id
}

const heldFolder = "DIFFSTITCH_TEST_HOLD"

// TestMain turns the test binary into a run that begins and is never finished,
// when it is started with a folder to hold.
func TestMain(m *testing.M) {
	if out := os.Getenv(heldFolder); out != "" {
		s, err := Begin(out, Options{})
		fmt.Println(s.ID(), err)
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

func TestOtherProcess(t *testing.T) {
	out := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), heldFolder+"="+out)
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	var id, rest string
	if _, err := fmt.Fscan(bufio.NewReader(stdout), &id, &rest); err != nil || rest != "<nil>" {
		t.Fatalf("the other run said %q %q (%v)", id, rest, err)
	}

	_, err = Begin(out, Options{})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("beside a running process: %v", err)
	}
	for _, want := range []string{id, fmt.Sprintf("process %d", other.Process.Pid)} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}

	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed: the error is wanted
	publish(t, out, time.Now())
}
