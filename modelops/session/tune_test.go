package session

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"diffstitch/modelops/backend"
)

func TestGrow(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		most  int
		rates map[int]float64 // no entry: out of memory
		want  []int           // measured and worth it, the chosen last
		err   error
	}{
		"the gain falls":        {1024, map[int]float64{16: 100, 32: 190, 64: 300, 128: 320, 256: 900}, []int{16, 32, 64}, nil},
		"slower at once":        {1024, map[int]float64{16: 100, 32: 90}, []int{16}, nil},
		"just enough":           {64, map[int]float64{16: 100, 32: 111, 64: 120}, []int{16, 32}, nil},
		"the memory ends":       {1024, map[int]float64{16: 100, 32: 200}, []int{16, 32}, nil},
		"too little for 16":     {1024, map[int]float64{4: 10, 2: 5, 8: 0}, []int{8}, nil},
		"as many as there are":  {48, map[int]float64{16: 100, 32: 200}, []int{16, 32}, nil},
		"fewer than 16":         {10, map[int]float64{10: 100}, []int{10}, nil},
		"no memory at all":      {1024, nil, nil, ErrOutOfMemory},
		"the device fails":      {1024, map[int]float64{16: 100, 32: -1}, nil, broken},
		"it fails at the first": {1024, map[int]float64{16: -1}, nil, broken},
	} {
		t.Run(name, func(t *testing.T) {
			measured, err := grow(test.most, func(batch int) (float64, error) {
				rate, fits := test.rates[batch]
				switch {
				case !fits:
					return 0, ErrOutOfMemory
				case rate < 0:
					return 0, broken
				}
				return rate, nil
			})
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			var got []int
			for _, m := range measured {
				got = append(got, m.Batch)
				if m.PerSecond != test.rates[m.Batch] {
					t.Errorf("batches of %d at %v, want %v", m.Batch, m.PerSecond, test.rates[m.Batch])
				}
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestChooseBatch(t *testing.T) {
	dir := walkModels(t)
	idle := mustOpen(t, ddim(dir, backend.Go))
	measured, err := ChooseBatch(ddim(dir, backend.Go), 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range measured {
		if m.PerSecond <= 0 || !slices.Contains([]int{16, 32}, m.Batch) {
			t.Errorf("measured %+v", m)
		}
	}
	if onDevice(idle) != nil {
		t.Error("idle models took the memory that was measured")
	}
	opts := ddim(t.TempDir(), backend.Go)
	if _, err := ChooseBatch(opts, 32); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without models: %v", err)
	}
}
