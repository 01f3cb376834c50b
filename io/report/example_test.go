package report_test

import (
	"bytes"
	"fmt"
	"strings"

	"diffstitch/io/report"
)

// A report shows what it is given: this one a title and its headline.
func ExampleWrite() {
	page := new(bytes.Buffer)
	err := report.Write(page, report.Report{
		Title:    "Stitched maze",
		Headline: &report.Headline{Attempted: 200, Accepted: 50, Before: 6000, After: 9000},
	})
	for _, text := range []string{"<title>Stitched maze", "25 %", "stitches attempted", "<script"} {
		fmt.Println(text, strings.Contains(page.String(), text))
	}
	fmt.Println(err)
	// Output:
	// <title>Stitched maze true
	// 25 % true
	// stitches attempted true
	// <script false
	// <nil>
}

// The order is what counts, not the distances.
func ExampleSpearman() {
	fmt.Println(report.Spearman([]float64{1, 2, 3, 4}, []float64{0.1, 5, 70, 900}))
	// Output: 1
}
