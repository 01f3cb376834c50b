package pipelines

import (
	"diffstitch/io/dataset"
	"diffstitch/io/datasetio"
	"diffstitch/io/trajectory"
	"diffstitch/modelops/diffusion"
	"diffstitch/modelops/training"
	"diffstitch/transforms/estimate"
	"diffstitch/transforms/mix"
	"diffstitch/transforms/pair"
	"diffstitch/transforms/rank"
	tatu "diffstitch/transforms/rollout"
)

// DefaultAugment is the configuration that flags change.
func DefaultAugment() AugmentOptions {
	return AugmentOptions{
		Method: training.MethodDiffStitch,
		Data:   Data{MaxRejectShare: 0.01},
		StitchingOptions: StitchingOptions{
			Scoring:    trajectory.Scoring{Kind: trajectory.ScoreReturn},
			Pools:      rank.Config{Low: 0.7, High: 0.9},
			Pairing:    pair.Reference,
			Candidates: 2048,
			Estimate:   estimate.Config{Similarity: estimate.Similarity{Kind: estimate.Distance, Space: estimate.Normalised}},
			Sampler:    diffusion.Sampler{Kind: diffusion.DDIM, Steps: 20},
			Delta:      Delta{Quantile: DefaultQuantile},
		},
		TATU:    tatu.DefaultConfig(),
		Mix:     mix.Config{Emit: mix.EmitTrajectory, RowGroupRows: dataset.DefaultRowGroupRows, PartRows: 1 << 20},
		Backend: "auto",
		Runner:  Runners[0],

		GPUConcurrency: 1,
		CacheMB:        datasetio.DefaultCacheMB,
	}
}

// DefaultDemo is the demo's configuration.
func DefaultDemo() DemoOptions {
	return DemoOptions{
		Dir:      "demo",
		Episodes: 500,
		Stitches: 512,
		Delta:    Delta{Value: 0.37},
		Seed:     1,
		Backend:  "auto",
		Runner:   Runners[0],
	}
}
