package mix

import (
	"slices"
	"testing"

	"diffstitch/io/trajectory"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseRatio(t *testing.T) {
	tests := []struct {
		text string
		want Ratio
		bad  bool
	}{
		{text: "concat", want: Ratio{}},
		{text: "4:1", want: Ratio{4, 1}},
		{text: "0:1", want: Ratio{0, 1}},
		{text: "1:0", want: Ratio{1, 0}},
		{text: "0:0", bad: true},
		{text: "4", bad: true},
		{text: "-1:2", bad: true},
		{text: "a:b", bad: true},
		{text: "", bad: true},
	}
	for _, test := range tests {
		got, err := ParseRatio(test.text)
		if (err != nil) != test.bad || got != test.want {
			t.Errorf("ParseRatio(%q) = %v, %v", test.text, got, err)
		}
		if !test.bad && got.String() != test.text {
			t.Errorf("ParseRatio(%q) is written as %q", test.text, got)
		}
	}
}

// draw makes originals and stitches of random lengths, some of them rejected.
func draw(t *rapid.T) ([]trajectory.Meta, []trajectory.Outcome) {
	steps := rapid.Int32Range(2, 200)
	var metas []trajectory.Meta
	for i, n := range rapid.SliceOfN(steps, 1, 60).Draw(t, "originals") {
		metas = append(metas, trajectory.Meta{ID: int64(10 + i), Location: trajectory.Location{Row: int64(i)}, Steps: n})
	}
	var outcomes []trajectory.Outcome
	for i, n := range rapid.SliceOfN(steps, 0, 60).Draw(t, "stitches") {
		o := trajectory.Outcome{Pair: trajectory.Pair{Index: int64(i), Steps: n}}
		o.High.Episode.Steps = 10
		if rapid.Bool().Draw(t, "rejected") {
			o.Rejected = "dynamics error"
		}
		o.Staged = trajectory.Location{File: int32(i) % 7, Row: int64(i), Rows: 1}
		outcomes = append(outcomes, o)
	}
	return metas, outcomes
}

// shuffled changes the order in which a runner may hand records over.
func shuffled[E any](t *rapid.T, values []E) []E {
	return rapid.Permutation(values).Draw(t, "order")
}

func rows(c Config, e trajectory.Entry) int64 {
	if e.IsStitch {
		return c.Rows(e.Stitch)
	}
	return int64(e.Original.Steps)
}

func TestLayoutKeepsAllAndIgnoresTheOrderOfArrival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		metas, outcomes := draw(t)
		cfg := Config{Emit: EmitTrajectory, RowGroupRows: 300, PartRows: 1000}
		parts := slices.Collect(cfg.Layout(metas, outcomes))
		again := slices.Collect(cfg.Layout(shuffled(t, metas), shuffled(t, outcomes)))
		if d := cmp.Diff(parts, again); d != "" {
			t.Fatal("the layout depends on the order of arrival", d)
		}
		originals, stitches := 0, 0
		ids := map[int64]bool{}
		for _, part := range parts {
			for _, e := range part.Entries {
				if ids[e.ID] {
					t.Fatalf("id %d comes twice", e.ID)
				}
				ids[e.ID] = true
				if e.IsStitch {
					stitches++
				} else {
					originals++
				}
			}
		}
		wanted := 0
		for _, o := range outcomes {
			if o.Rejected == "" {
				wanted++
			}
		}
		if originals != len(metas) || stitches != wanted {
			t.Fatalf("%d of %d originals and %d of %d stitches", originals, len(metas), stitches, wanted)
		}
	})
}

func TestRatioHoldsAtEveryPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		metas, outcomes := draw(t)
		ratio := Ratio{rapid.Int64Range(1, 4).Draw(t, "original"), rapid.Int64Range(1, 4).Draw(t, "augmented")}
		cfg := Config{Ratio: ratio, Emit: EmitTrajectory, RowGroupRows: 300, PartRows: 1000}
		var original, augmented int64
		some := slices.ContainsFunc(outcomes, func(o trajectory.Outcome) bool { return o.Rejected == "" })
		const longest = 200 + 11 // rows of the longest episode
		for part := range cfg.Layout(metas, outcomes) {
			for _, e := range part.Entries {
				if e.IsStitch {
					augmented += rows(cfg, e)
				} else {
					original += rows(cfg, e)
				}
				if off := original*ratio.Augmented - augmented*ratio.Original; some && (off > longest*4 || off < -longest*4) {
					t.Fatalf("%d original and %d augmented rows are more than an episode off %v", original, augmented, ratio)
				}
			}
		}
	})
}

// TestRatioDropsNoOriginal: whatever the ratio, all originals stay, and stitches come
// again where there are too few, under ids of their own.
func TestRatioDropsNoOriginal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		metas, outcomes := draw(t)
		ratio := Ratio{rapid.Int64Range(1, 4).Draw(t, "original"), rapid.Int64Range(1, 4).Draw(t, "augmented")}
		originals, ids := 0, map[int64]bool{}
		comes := map[int64]int{} // how often a stitch does
		for part := range (Config{Ratio: ratio, Emit: EmitTrajectory, RowGroupRows: 300, PartRows: 1000}).Layout(metas, outcomes) {
			for _, e := range part.Entries {
				if ids[e.ID] {
					t.Fatalf("id %d comes twice", e.ID)
				}
				ids[e.ID] = true
				if !e.IsStitch {
					originals++
					continue
				}
				if comes[e.Stitch.Index] != int(e.Repeat) {
					t.Fatalf("stitch %d comes for time %d as repeat %d", e.Stitch.Index, comes[e.Stitch.Index], e.Repeat)
				}
				comes[e.Stitch.Index]++
			}
		}
		if originals != len(metas) {
			t.Fatalf("%d of %d originals are left", originals, len(metas))
		}
		for _, n := range comes {
			for _, m := range comes {
				if n > m+1 {
					t.Fatalf("a stitch comes %d times, another %d", n, m)
				}
			}
		}
	})
}

func TestRatioEnds(t *testing.T) {
	metas := []trajectory.Meta{{ID: 1, Steps: 5}}
	outcomes := []trajectory.Outcome{{Pair: trajectory.Pair{Steps: 3}}}
	for _, test := range []struct {
		ratio     Ratio
		originals bool
	}{{Ratio{1, 0}, true}, {Ratio{0, 1}, false}} {
		parts := slices.Collect(Config{Ratio: test.ratio, Emit: EmitBridge, RowGroupRows: 10, PartRows: 10}.Layout(metas, outcomes))
		if len(parts) != 1 || len(parts[0].Entries) != 1 || parts[0].Entries[0].IsStitch == test.originals {
			t.Errorf("mix %v: %+v", test.ratio, parts)
		}
	}
}

func TestPartition(t *testing.T) {
	var metas []trajectory.Meta
	for i := range 7 {
		metas = append(metas, trajectory.Meta{ID: int64(i), Location: trajectory.Location{Row: int64(i)}, Steps: 4})
	}
	parts := slices.Collect(Config{Emit: EmitTrajectory, RowGroupRows: 8, PartRows: 16}.Layout(metas, nil))
	var groups [][]int32
	for _, p := range parts {
		var g []int32
		for _, e := range p.Entries {
			g = append(g, e.Group)
		}
		groups = append(groups, g)
	}
	if d := cmp.Diff([][]int32{{0, 0, 1, 1}, {0, 0, 1}}, groups); d != "" {
		t.Error(d)
	}
}

// TestRatioLeavesOutAny: which stitches a ratio has no room for does not depend
// on where they lie, and those that stay come in the order of their files.
func TestRatioLeavesOutAny(t *testing.T) {
	metas := []trajectory.Meta{{ID: 1, Steps: 400}}
	var outcomes []trajectory.Outcome
	for i := range 1000 {
		o := trajectory.Outcome{Pair: trajectory.Pair{Index: int64(i)}}
		o.Staged = trajectory.Location{File: int32(i / 100), Row: int64(i), Rows: 1}
		outcomes = append(outcomes, o)
	}
	files := map[int32]int{}
	last := int64(-1)
	for part := range (Config{Ratio: Ratio{1, 1}, Emit: EmitBridge, RowGroupRows: 100, PartRows: 1000}).Layout(metas, outcomes) {
		for _, e := range part.Entries {
			if !e.IsStitch {
				continue
			}
			if e.Stitch.Staged.Row <= last {
				t.Errorf("the bridge at row %d comes after the one at %d", e.Stitch.Staged.Row, last)
			}
			last = e.Stitch.Staged.Row
			files[e.Stitch.Staged.File]++
		}
	}
	for file := range int32(10) {
		if n := files[file]; n < 20 || n > 60 { // 40 are due
			t.Errorf("%d of 100 bridges of file %d", n, file)
		}
	}
}

func TestPartsOfShortEpisodesAreSmall(t *testing.T) {
	metas := make([]trajectory.Meta, 2*mostEntries+1)
	for i := range metas {
		metas[i] = trajectory.Meta{ID: int64(i), Location: trajectory.Location{Row: int64(i)}, Steps: 2}
	}
	parts := slices.Collect(Config{Emit: EmitTrajectory, RowGroupRows: 1 << 20, PartRows: 1 << 20}.Layout(metas, nil))
	if len(parts) != 3 || len(parts[0].Entries) != mostEntries {
		t.Errorf("%d parts, the first of %d episodes", len(parts), len(parts[0].Entries))
	}
}
