package checkpoint_test

import (
	"encoding/json"
	"fmt"
	"os"

	"diffstitch/modelops/checkpoint"
)

// A model is saved with what its weights are a function of, by which it is known again.
func ExampleSave() {
	dir, err := os.MkdirTemp("", "model")
	if err != nil {
		fmt.Println(err)
	}
	defer os.RemoveAll(dir)

	identity := checkpoint.Identity{Config: json.RawMessage(`{"hidden": 256}`), DatasetFingerprint: "0123abcd", Seed: 1, Backend: "go"}
	weights := []checkpoint.Tensor{{Name: "output/bias", Shape: []int{2}, Data: []float32{0.5, -1}}}
	saved, err := checkpoint.Save(dir, checkpoint.Model{Kind: "reward", Identity: identity, Details: json.RawMessage(`{}`)}, weights)
	if err != nil {
		fmt.Println(err)
	}
	m, hash, weights, err := checkpoint.Open(dir)
	fmt.Println(m.Kind, hash == saved, weights, err)

	other := identity
	other.Config = json.RawMessage(`{"hidden": 128}`)
	fmt.Println(m.Identity.Difference(other))
	// Output:
	// reward true [{output/bias [2] [0.5 -1]}] <nil>
	// hidden 256 against 128
}

func ExampleFit() {
	states := []float32{0, 10, 2, 30, 4, 50} // 3 rows of 2
	n, err := checkpoint.Fit(checkpoint.Gaussian, states, 2)
	normalised := make([]float32, len(states))
	n.Apply(normalised, states)
	fmt.Println(n.Mean, normalised[2:4], err)
	// Output: [2 30] [0 0] <nil>
}
