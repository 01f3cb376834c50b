package trajectory

import "testing"

func TestScoring(t *testing.T) {
	e := &Episode{Rewards: []float32{8, 0, 4, 4}}
	tests := []struct {
		scoring Scoring
		want    float64
		bad     bool
	}{
		{scoring: Scoring{Kind: ScoreReturn}, want: 16},
		{scoring: Scoring{Kind: ScorePerStep}, want: 4},
		{scoring: Scoring{Kind: ScoreDiscounted, Discount: 0.5}, want: 9.5},
		{scoring: Scoring{Kind: ScoreDiscounted, Discount: 1}, want: 16},
		{scoring: Scoring{Kind: ScoreDiscounted}, bad: true},
		{scoring: Scoring{Kind: ScoreDiscounted, Discount: 1.01}, bad: true},
		{scoring: Scoring{Kind: "best"}, bad: true},
		{scoring: Scoring{}, bad: true},
	}
	for _, test := range tests {
		if err := test.scoring.Validate(); (err != nil) != test.bad {
			t.Errorf("%+v: %v", test.scoring, err)
		}
		if test.bad {
			continue
		}
		if got := test.scoring.Of(e); got != test.want {
			t.Errorf("%+v gives %v, want %v", test.scoring, got, test.want)
		}
	}
}
