package session

import (
	"math"
	"slices"
	"strings"
	"testing"

	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/training"

	"github.com/google/go-cmp/cmp"
)

func refining(dir, name string) Options {
	o := ddim(dir, name)
	o.Refine = true
	return o
}

// plans are straight lines from an episode of the walk to a place beside it.
func plans(off ...float32) (list [][]float32) {
	for i, d := range off {
		from, n := walk().Trajectories[i].States[6:8], 3+i%4
		var plan []float32
		for step := range n + 1 {
			share := float32(step) / float32(n)
			plan = append(plan, from[0]+share*d, from[1]+share*(0.1*float32(n)-d))
		}
		list = append(list, plan)
	}
	return list
}

// TestRefine asks for ways that the walk can go.
func TestRefine(t *testing.T) {
	needsLearning(t)
	dir := walkModels(t)
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		s := mustOpen(t, refining(dir, name))
		info, list := s.Info(), plans(0.1, 0.15, 0.2, 0.05)
		refined, err := s.Refine(list)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range refined {
			checkRefined(t, info, list[i], r)
			next, _, err := s.Dynamics(r.States[:len(r.States)-2], r.Actions)
			if err != nil {
				t.Fatal(err)
			}
			// The nets that judge know the walk as well: they were trained on other episodes.
			if worst := slices.Max(training.Distances(next, r.States[2:], 2)); worst > 0.05 {
				t.Errorf("plan %d: the nets that judge are off by %g", i, worst)
			}
		}
	})
}

// checkRefined checks what holds of every refined bridge.
func checkRefined(t *testing.T, info Info, plan []float32, r Refined) {
	t.Helper()
	n := len(plan)/2 - 1 + r.Extra
	if len(r.States) != (n+1)*2 || len(r.Actions) != n*2 || len(r.Residuals) != n {
		t.Errorf("%d states, %d actions and %d residuals of %d transitions", len(r.States)/2, len(r.Actions)/2, len(r.Residuals), n)
		return
	}
	if !slices.Equal(r.States[:2], plan[:2]) || !slices.Equal(r.States[n*2:], plan[len(plan)-2:]) {
		t.Errorf("the ends %v and %v are not the plan's", r.States[:2], r.States[n*2:])
	}
	for i, a := range r.Actions {
		if !(a >= info.ActionLow[i%2] && a <= info.ActionHigh[i%2]) {
			t.Errorf("action %g of transition %d lies outside of the data's range", a, i/2)
		}
	}
	for i, residual := range r.Residuals {
		if !(residual >= 0) || i < n-1 && residual != 0 {
			t.Errorf("transition %d of %d has the residual %g", i, n, residual)
		}
	}
}

// TestRefineAlone holds what becomes of a plan the same to the bit whatever others it
// is refined with, near and out of reach.
func TestRefineAlone(t *testing.T) {
	s := mustOpen(t, refining(walkModels(t), "go"))
	list := plans(0.1, 3, 0.15, -0.2, -2, 0, 0.3)
	together, err := s.Refine(list)
	if err != nil {
		t.Fatal(err)
	}
	for i, plan := range list {
		checkRefined(t, s.Info(), plan, together[i])
		alone, err := s.Refine(list[i : i+1])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(together[i], alone[0]); diff != "" {
			t.Errorf("plan %d (-together +alone):\n%s", i, diff)
		}
	}
}

func TestRefineRefuses(t *testing.T) {
	dir := walkModels(t)
	s := mustOpen(t, refining(dir, "go"))
	for name, plan := range map[string][]float32{"one state": {1, 2}, "beyond the horizon": make([]float32, 2*9)} {
		if _, err := s.Refine([][]float32{plan}); err == nil || !strings.Contains(err.Error(), "from 1 to 7") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	without := mustOpen(t, ddim(dir, "go"))
	if _, err := without.Refine(plans(0.1)); err == nil || !strings.Contains(err.Error(), "opened without") {
		t.Errorf("models that were not to refine: error %v", err)
	}
}

func TestResample(t *testing.T) {
	plan := []float32{0, 5, 1, 7, 3, 7}
	for n, want := range map[int][]float32{
		2: plan,
		4: {0, 5, 0.5, 6, 1, 7, 2, 7, 3, 7},
		3: {0, 5, 2. / 3, 5 + 4./3, 1 + 2./3, 7, 3, 7},
	} {
		got := resample(plan, 2, n)
		for i, v := range want {
			if len(got) != len(want) || math.Abs(float64(got[i]-v)) > 1e-6 {
				t.Errorf("%d transitions: %v, want %v", n, got, want)
				break
			}
		}
	}
}
