package learners_test

import (
	"fmt"

	"diffstitch/modelops/learners"
)

// Settings are a learner's own for an environment, whatever version its name ends in.
func ExamplePreset() {
	for _, environment := range []string{"hopper-medium-expert-v2", "pen-human-v1", "pointmaze"} {
		cfg, err := learners.Preset(learners.IQL, environment)
		fmt.Println(cfg.Steps, "updates, expectile", cfg.IQL.Expectile, "β", cfg.IQL.Beta, err)
	}
	// Output:
	// 1000000 updates, expectile 0.5 β 6 <nil>
	// 1000000 updates, expectile 0.8 β 3 <nil>
	// 1000000 updates, expectile 0.7 β 3 <nil>
}
