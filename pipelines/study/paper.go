package study

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed paper.csv
var paperFile []byte

// paperSource is where the paper's scores come from.
const paperSource = "Li et al., DiffStitch, ICML 2024, arXiv 2402.02439"

// paperTables names the paper's tables by the studies that repeat them.
var paperTables = map[string]string{Main: "Table 1", Ratio: "Table 2", Delta: "Table 3", Small: "Table 4"}

// PaperScore is one normalised score that the paper reports.
type PaperScore struct {
	Study   string  `json:"study"`
	Dataset string  `json:"dataset"` // of D4RL
	Row     string  `json:"row"`
	Learner string  `json:"learner"`
	Score   float64 `json:"score"`
}

// text is the score as the tables have it.
func (s PaperScore) text() string {
	return strings.Replace(fmt.Sprintf("%.1f", s.Score), "-", "−", 1)
}

// paperScores are all of them, in the file's order.
var paperScores = sync.OnceValues(func() (scores []PaperScore, err error) {
	reader := csv.NewReader(bytes.NewReader(paperFile))
	reader.Comment = '#'
	lines, err := reader.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("study: the paper's scores: %w", err)
	}
	for _, line := range lines[1:] {
		score, err := strconv.ParseFloat(line[4], 64)
		if err != nil {
			return nil, fmt.Errorf("study: the paper's scores: %w", err)
		}
		scores = append(scores, PaperScore{Study: line[0], Dataset: line[1], Row: line[2], Learner: line[3], Score: score})
	}
	return scores, nil
})

// paperOf are the scores of the table that a study repeats; none where the paper
// has no such table.
func paperOf(study string) ([]PaperScore, error) {
	all, err := paperScores()
	return slices.DeleteFunc(slices.Clone(all), func(s PaperScore) bool { return s.Study != study }), err
}

// widestDataset is in each of the paper's tables.
const widestDataset = "halfcheetah-medium-expert"

// paperDataset is which of the paper's datasets a study's scores stand beside: the
// one that the data is named by, if the table has it.
func paperDataset(scores []PaperScore, dataName string) string {
	best := ""
	for _, s := range scores {
		if strings.Contains(strings.ToLower(dataName), s.Dataset) && len(s.Dataset) > len(best) {
			best = s.Dataset
		}
	}
	if best == "" {
		best = widestDataset
	}
	return best
}
