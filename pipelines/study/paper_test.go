package study

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The paper's tables as they are printed: columns of numbers, learner by learner.
const table1 = `
halfcheetah-medium-expert | 92.7 88.9 94.4 94.4 | 94.3 86.5 89.3 96.0 | 90.8 92.6
hopper-medium-expert | 98.7 110.4 93.4 110.9 | 94.8 104.0 99.0 107.1 | 109.9 109.4
walker2d-medium-expert | 112.4 111.7 110.7 111.6 | 109.9 110.5 110.7 110.2 | 108.1 108.6
halfcheetah-medium | 48.5 49.3 48.2 49.4 | 48.4 48.4 48.1 50.4 | 40.4 44.2
hopper-medium | 65.9 66.6 60.3 71.0 | 58.0 56.4 58.3 60.3 | 61.5 60.5
walker2d-medium | 81.1 85.9 76.6 83.2 | 81.4 84.9 75.8 83.4 | 70.5 72.0
halfcheetah-medium-replay | 44.1 46.6 44.2 44.7 | 44.5 45.2 44.5 44.7 | 39.8 41.0
hopper-medium-replay | 91.4 102.4 79.6 102.1 | 64.8 56.8 64.1 79.6 | 83.6 96.1
walker2d-medium-replay | 80.7 85.7 75.0 86.6 | 82.4 89.1 62.1 89.7 | 53.3 60.2
pen-human | 79.1 88.9 96.8 87.4 | −3.3 −2.8 7.3 29.8 | 62.8 70.0
pen-cloned | 45.8 52.5 45.3 64.0 | −3.1 −2.8 −3.0 11.3 | 57.7 59.7`

const table4 = `
halfcheetah-medium-expert | 89.3 62.5 91.5 91.5 | 81.2 65.1 80.2 91.6 | 88.7 92.6
hopper-medium-replay | 51.0 13.0 49.6 67.8 | 52.0 13.5 6.7 64.0 | 49.3 75.1`

// Tables 2 and 3 have TD3+BC, IQL and DT on halfcheetah-medium-expert.
const table2 = `
0:1 | 0.1 −0.5 1.2
1:2 | 91.7 91.5 92.6
1:1 | 94.1 91.7 92.5
2:1 | 93.2 93.9 91.5
4:1 | 96.0 94.4 92.4
1:0 | 94.3 92.7 90.8`

const table3 = `
1 | 93.8 92.0 93.1
2 | 96.0 94.4 92.6
3 | 91.7 95.0 92.7
4 | 94.4 91.1 92.6`

// byMethod reads a table with a column for each method of each learner.
func byMethod(study, table string) map[string]string {
	scores := map[string]string{}
	methods := map[string][]string{IQL: Methods, TD3BC: Methods, DT: {Original, DiffStitch}}
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		parts := strings.Split(line, " | ")
		for i, learner := range Learners {
			for j, score := range strings.Fields(parts[1+i]) {
				scores[strings.Join([]string{study, parts[0], methods[learner][j], learner}, " ")] = score
			}
		}
	}
	return scores
}

// byRow reads a table with a column for each learner.
func byRow(study, table string) map[string]string {
	scores := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		row, numbers, _ := strings.Cut(line, " | ")
		for i, score := range strings.Fields(numbers) {
			scores[strings.Join([]string{study, widestDataset, row, []string{TD3BC, IQL, DT}[i]}, " ")] = score
		}
	}
	return scores
}

func TestPaperScores(t *testing.T) {
	tables := map[string]map[string]string{
		Main: byMethod(Main, table1), Ratio: byRow(Ratio, table2), Delta: byRow(Delta, table3), Small: byMethod(Small, table4),
		Ablation: {}, Pairing: {},
	}
	for study, want := range tables {
		scores, err := paperOf(study)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, s := range scores {
			got[strings.Join([]string{s.Study, s.Dataset, s.Row, s.Learner}, " ")] = s.text()
		}
		if d := cmp.Diff(want, got); d != "" || len(got) != len(scores) {
			t.Errorf("%s: %d scores (-want +got):\n%s", study, len(scores), d)
		}
	}
}

func TestPaperDataset(t *testing.T) {
	scores, err := paperOf(Main)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"hopper-medium-replay.parquet": "hopper-medium-replay", "Hopper-Medium-v2": "hopper-medium", "own.parquet": widestDataset, ".": widestDataset,
	} {
		if got := paperDataset(scores, name); got != want {
			t.Errorf("%s stands beside %s, want %s", name, got, want)
		}
	}
}
