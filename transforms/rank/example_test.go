package rank_test

import (
	"fmt"

	"diffstitch/io/trajectory"
	"diffstitch/transforms/rank"
)

// Of five episodes those up to the median are low, those from the upper tenth on high.
// One is neither.
func ExampleSplit() {
	var metas []trajectory.Meta
	for id, score := range []float64{30, 10, 50, 20, 40} {
		metas = append(metas, trajectory.Meta{ID: int64(id), Score: score})
	}
	pools, err := rank.Split(rank.Config{Low: 0.5, High: 0.9}, metas)
	if err != nil {
		fmt.Println(err)
	}
	for _, m := range pools.Low {
		fmt.Println("low", m.ID, m.Score)
	}
	for _, m := range pools.High {
		fmt.Println("high", m.ID, m.Score)
	}
	// Output:
	// low 0 30
	// low 1 10
	// low 3 20
	// high 2 50
}
