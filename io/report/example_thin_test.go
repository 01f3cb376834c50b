package report_test

import (
	"fmt"

	"diffstitch/io/report"
)

func ExampleThin() {
	fmt.Println(report.Thin([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 4))
	fmt.Println(report.Thin([]int{0, 1}, 4))
	// Output:
	// [0 2 5 7]
	// [0 1]
}
