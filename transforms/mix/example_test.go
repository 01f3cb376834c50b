package mix_test

import (
	"fmt"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/mix"
)

func ExampleParseRatio() {
	fmt.Println(mix.ParseRatio("4:1"))
	fmt.Println(mix.ParseRatio("concat"))
	_, err := mix.ParseRatio("0:0")
	fmt.Println(err)
	// Output:
	// 4:1 <nil>
	// concat <nil>
	// mix: "0:0" is no mix: want concat, or O:A such as 4:1
}

// Two original episodes for one stitch, in row groups of at least 30 rows.
func ExampleConfig_Layout() {
	metas := []trajectory.Meta{{ID: 1, Steps: 10}, {ID: 2, Steps: 10}, {ID: 3, Steps: 10}, {ID: 4, Steps: 10}}
	stitch := func(index int64) trajectory.Outcome {
		return trajectory.Outcome{Pair: trajectory.Pair{Index: index, Steps: 9}} // Δ+1 = 10 transitions
	}
	cfg := mix.Config{Ratio: mix.Ratio{Original: 2, Augmented: 1}, Emit: mix.EmitBridge, RowGroupRows: 30, PartRows: 1000}
	for part := range cfg.Layout(metas, []trajectory.Outcome{stitch(0), stitch(1)}) {
		for _, e := range part.Entries {
			fmt.Println("file", part.Index, "row group", e.Group, "episode", e.ID, "stitched", e.IsStitch)
		}
	}
	// Output:
	// file 0 row group 0 episode 1 stitched false
	// file 0 row group 0 episode 5 stitched true
	// file 0 row group 0 episode 2 stitched false
	// file 0 row group 1 episode 3 stitched false
	// file 0 row group 1 episode 6 stitched true
	// file 0 row group 1 episode 4 stitched false
}
