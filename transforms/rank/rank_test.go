package rank

import (
	"errors"
	"testing"

	"diffstitch/io/trajectory"
	"github.com/google/go-cmp/cmp"
)

func scored(scores ...float64) []trajectory.Meta {
	metas := make([]trajectory.Meta, len(scores))
	for i, s := range scores {
		metas[i] = trajectory.Meta{ID: int64(i), Location: trajectory.Location{Row: int64(i)}, Score: s}
	}
	return metas
}

func ids(metas []*trajectory.Meta) (ids []int64) {
	for _, m := range metas {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestSplit(t *testing.T) {
	tests := []struct {
		name      string
		cfg       Config
		scores    []float64
		low, high []int64
		err       error
	}{
		{"quantiles", Config{0.4, 0.9}, []float64{9, 1, 8, 2, 7, 3, 6, 4, 5, 0, 10}, []int64{1, 3, 5, 7, 9}, []int64{0, 10}, nil},
		{"ties stay low", Config{0.5, 0.5}, []float64{0, 0, 0, 1}, []int64{0, 1, 2}, []int64{3}, nil},
		{"all equal", Config{0.5, 0.9}, []float64{2, 2, 2}, nil, nil, ErrNoHigh},
		{"none", Config{0.5, 0.9}, nil, nil, nil, ErrNoLow},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pools, err := Split(test.cfg, scored(test.scores...))
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if d := cmp.Diff([][]int64{test.low, test.high}, [][]int64{ids(pools.Low), ids(pools.High)}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, cfg := range []Config{{-0.1, 0.5}, {0.5, 1.1}, {0.6, 0.5}} {
		if cfg.Validate() == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
