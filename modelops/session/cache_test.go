package session

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"diffstitch/modelops/backend"
	"diffstitch/modelops/backend/backendtest"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
)

// onDevice is the set of a session, or nil.
func onDevice(s *Session) *modelSet {
	residentsMutex.Lock()
	defer residentsMutex.Unlock()
	if r, found := residents[s.key]; found {
		return r.models
	}
	return nil
}

// publish puts a new reward model into the folder.
func publish(t *testing.T, dir string) {
	t.Helper()
	replaceReward(t, dir, walkConfig(t), walk(), 1)
}

func TestSharedLoadsOnceForAll(t *testing.T) {
	opts := ddim(walkModels(t), backend.Go)
	opts.Batch = 3 // no other test's
	known, mask, seeds := task(3)
	const users = 8
	var group sync.WaitGroup
	var sessions [users]*Session
	var samples [users][]float32
	for i := range users {
		group.Go(func() {
			s, err := Shared(opts)
			if err != nil {
				t.Error(err)
				return
			}
			sessions[i] = s
			if samples[i], err = s.Sample(known, mask, seeds); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	var loaded []training.Kind
	for i, s := range sessions {
		if s == nil || onDevice(s) != onDevice(sessions[0]) || !slices.Equal(samples[i], samples[0]) {
			t.Fatalf("user %d has models or a sample of its own", i)
		}
		for _, load := range s.Take().Loads {
			loaded = append(loaded, load.Kind)
			if load.Bytes == 0 {
				t.Errorf("the %s model weighs nothing", load.Kind)
			}
		}
	}
	if !slices.Equal(loaded, training.KindsOf(training.MethodDiffStitch)) {
		t.Errorf("loaded %v, want each model once", loaded)
	}
	if again := sessions[0].Take(); len(again.Loads) > 0 {
		t.Errorf("told twice: %v", again.Loads)
	}
}

func TestEqualModelsElsewhereAreShared(t *testing.T) {
	dir := walkModels(t)
	first := mustOpen(t, ddim(dir, backend.Go))
	second := mustOpen(t, ddim(copyOf(t, dir), backend.Go))
	if onDevice(first) == nil || onDevice(first) != onDevice(second) || len(second.Take().Loads) > 0 {
		t.Error("equal models were loaded again from another folder")
	}
}

func TestIdleModelsGoWhenOthersCome(t *testing.T) {
	dir := copyOf(t, walkModels(t))
	old := mustOpen(t, ddim(dir, backend.Go))
	if onDevice(old) == nil {
		t.Fatal("idle models did not stay")
	}
	publish(t, dir)
	next := mustOpen(t, ddim(dir, backend.Go))
	if onDevice(next) == nil || onDevice(old) != nil {
		t.Error("the new models are not there, or the old ones still are")
	}
	known, mask, seeds := task(1)
	_, err := old.Sample(known, mask, seeds)
	if !errors.Is(err, ErrReplaced) || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "the reward model in "+dir) {
		t.Errorf("a session whose models were replaced says %v", err)
	}
	if _, err := next.Sample(known, mask, seeds); err != nil {
		t.Errorf("the new models do not run after that: %v", err)
	}
}

func TestModelsInUseGoWhenTheirUsersAreDone(t *testing.T) {
	for name, use := range map[string]func(s *Session) (done func()){
		"a call": func(s *Session) func() {
			r := enter(s.key)
			return func() { leave(r) }
		},
		"a hold": func(s *Session) func() { return hold(s.key) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, walkModels(t))
			old := mustOpen(t, ddim(dir, backend.Go))
			done := use(old)
			publish(t, dir)
			next := mustOpen(t, ddim(dir, backend.Go))
			if onDevice(old) == nil || onDevice(next) == nil {
				t.Error("models went while they were in use")
			}
			done()
			if onDevice(old) != nil || onDevice(next) == nil {
				t.Error("the old models stayed, or the new ones went")
			}
		})
	}
}

func TestModelsThatHadToGoComeBack(t *testing.T) {
	dir := walkModels(t)
	first := mustOpen(t, ddim(dir, backend.Go))
	known, mask, seeds := task(2)
	want, err := first.Sample(known, mask, seeds)
	if err != nil {
		t.Fatal(err)
	}
	opts := ddim(dir, backend.Go)
	opts.Sampler.Steps = 3
	mustOpen(t, opts)
	if onDevice(first) != nil {
		t.Fatal("two sets are on the device")
	}
	got, err := first.Sample(known, mask, seeds)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("another sample after coming back (%v)", err)
	}
}

func TestHoldLoadsNothing(t *testing.T) {
	opts := ddim(walkModels(t), backend.Go)
	opts.Batch = 7
	release, err := Hold(opts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSession(opts)
	if err != nil {
		t.Fatal(err)
	}
	if onDevice(s) != nil {
		t.Error("holding loaded the models")
	}
	release()
	release()
	if _, found := residents[s.key]; found {
		t.Error("something is left of the hold")
	}
}

func TestRunsDoNotMixModels(t *testing.T) {
	dir := copyOf(t, walkModels(t))
	info, err := Describe(dir, training.KindsOf(training.MethodDiffStitch))
	if err != nil {
		t.Fatal(err)
	}
	opts := ddim(dir, backend.Go)
	opts.Hashes = info.Hashes()
	mustOpen(t, opts)
	publish(t, dir)
	_, err = Shared(opts)
	if !errors.Is(err, ErrReplaced) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("a worker that finds other models says %v", err)
	}
	if _, err := Hold(opts); !errors.Is(err, ErrReplaced) {
		t.Errorf("a driver that finds other models says %v", err)
	}
}

// TestNothingIsCompiledLater: each graph may have one shape, and opening compiled it.
func TestNothingIsCompiledLater(t *testing.T) {
	dir := walkModels(t)
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		for _, kind := range []string{diffusion.DDIM, diffusion.DDPM} {
			opts := ddim(dir, name)
			opts.Sampler.Kind = kind
			s := mustOpen(t, opts)
			onDevice(s).sampler.OneShape()
			for _, n := range []int{1, 4, 5} {
				known, mask, seeds := task(n)
				if _, err := s.Sample(known, mask, seeds); err != nil {
					t.Errorf("%d windows: %v", n, err)
				}
			}
			for _, n := range []int{1, 1500} {
				if _, _, err := s.Dynamics(make([]float32, 2*n), make([]float32, 2*n)); err != nil {
					t.Errorf("%d rows: %v", n, err)
				}
			}
		}
	})
}

// lacksMemory makes the session's device fail for more windows than fit.
func lacksMemory(t *testing.T, s *Session, fit int) {
	t.Helper()
	sampler := onDevice(s).sampler
	sampler.fail = func(rows int) error {
		if rows > fit {
			return ErrOutOfMemory
		}
		return nil
	}
	t.Cleanup(func() {
		sampler.fail = nil
		sampler.rows.Store(int64(sampler.batch))
	})
}

// rounding is what sums in another order may change of values of about 5. Other
// noise would change all of them by tenths.
const rounding = 1e-5

func farthest(a, b []float32) (distance float64) {
	for i := range a {
		distance = max(distance, math.Abs(float64(a[i]-b[i])))
	}
	return distance
}

func TestPartsOfABatchGiveTheSameRows(t *testing.T) {
	dir := walkModels(t)
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		for _, kind := range []string{diffusion.DDIM, diffusion.DDPM} {
			opts := ddim(dir, name)
			opts.Sampler.Kind, opts.Batch = kind, 5
			s := mustOpen(t, opts)
			known, mask, seeds := task(12)
			want, err := s.Sample(known, mask, seeds)
			if err != nil {
				t.Fatal(err)
			}
			for _, test := range []struct{ fit, rows, halvings int }{{4, 3, 1}, {2, 2, 2}, {1, 1, 3}} {
				t.Run("", func(t *testing.T) {
					lacksMemory(t, s, test.fit)
					for range 2 { // what fits is remembered
						got, err := s.Sample(known, mask, seeds)
						if err != nil {
							t.Fatal(err)
						}
						if worst := farthest(got, want); worst > rounding {
							t.Errorf("%s: %d windows at a time give rows that differ by up to %g", kind, test.rows, worst)
						}
					}
					if got := s.Take().Halvings; got != test.halvings {
						t.Errorf("%s: halved %d times, want %d", kind, got, test.halvings)
					}
				})
			}
		}
	})
}

func TestNoMemoryAtAll(t *testing.T) {
	opts := ddim(walkModels(t), backend.Go)
	s := mustOpen(t, opts)
	lacksMemory(t, s, 0)
	known, mask, seeds := task(2)
	if _, err := s.Sample(known, mask, seeds); !errors.Is(err, ErrOutOfMemory) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Sample(known[1:], mask, seeds); err == nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("a ragged window is the device's fault: %v", err)
	}
}
