package report

import "slices"

// Recipe is how the data of a row of the scores was made.
type Recipe struct {
	Label string
	// Stitched is whether DiffStitch made it: the other fields are of that alone.
	Stitched bool
	// Done is whether it was; otherwise the fields are what was asked for.
	Done bool

	Pairing, Similarity, Sampler, Steps, Delta, Refinement string
}

func recipesSection(study Study) (section, error) {
	if !slices.ContainsFunc(study.Recipes, func(r Recipe) bool { return r.Stitched }) {
		return section{}, nil
	}
	s := section{
		Title: "How each row’s data was made",
		Text:  "As the manifest of each run has it; i* is the step of the imagined state that is most similar to s′_1. Rows that DiffStitch has no part in have a dash.",
		Table: &table{Head: []string{"", "pairing", "similarity", "sampler", "Δ", "δ", "refinement"}},
	}
	for _, r := range study.Recipes {
		row := []cell{{Text: r.Label}}
		for _, text := range []string{r.Pairing, r.Similarity, r.Sampler, r.Steps, r.Delta, r.Refinement} {
			if !r.Stitched || text == "" {
				text = "–"
			}
			row = append(row, cell{Text: text})
		}
		if r.Stitched && !r.Done {
			row[0].Text += " (asked for, not made)"
		}
		s.Table.Rows = append(s.Table.Rows, row)
	}
	return s, nil
}
