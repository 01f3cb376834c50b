//go:build faults

package fault

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// struck lists the visits of ten elements on which a plan strikes.
func struck(t *testing.T, text, kind string, visits int) (list []string) {
	t.Helper()
	p, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	clear(past)
	for visit := range visits {
		for element := range 10 {
			if p.strikes(rule{"estimate", kind, p.rules[0].share}, fmt.Sprint(element)) {
				list = append(list, fmt.Sprint(element, " ", visit))
			}
		}
	}
	return list
}

func TestAPlanIsRepeatable(t *testing.T) {
	first := struck(t, "seed=4 limit=9 estimate:error=0.3", "error", 8)
	if d := cmp.Diff(first, struck(t, "seed=4 limit=9 estimate:error=0.3", "error", 8)); d != "" {
		t.Errorf("the same seed (-first +second):\n%s", d)
	}
	if cmp.Equal(first, struck(t, "seed=5 limit=9 estimate:error=0.3", "error", 8)) {
		t.Error("another seed strikes the same")
	}
	if n := len(first); n < 12 || n > 36 {
		t.Errorf("%d of 80 visits are struck, want about 24", n)
	}
}

func TestLimits(t *testing.T) {
	if n := len(struck(t, "estimate:error=1", "error", 8)); n != 10 {
		t.Errorf("%d faults on 10 elements, want one each", n)
	}
	if n := len(struck(t, "estimate:broken=0.5", "broken", 8)); n%8 != 0 || n == 0 || n == 80 {
		t.Errorf("%d faults, want elements that are broken on each of 8 visits", n)
	}
}

func TestFull(t *testing.T) {
	if err := (rule{"write", "full", 1}).happen("part-00000.parquet"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"often", "seed=x", "estimate:error=much", "patience=1"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken for a plan", text)
		}
	}
}
