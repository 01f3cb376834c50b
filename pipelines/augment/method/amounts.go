package method

import "diffstitch/io/datasetio"

// Amounts says how much an augmentation would do.
type Amounts struct {
	Files       int   `json:"files"`
	Bytes       int64 `json:"bytes"` // of the files
	Episodes    int64 `json:"episodes"`
	Rejected    int64 `json:"rejected"`
	Transitions int64 `json:"transitions"`

	LowEpisodes  int64 `json:"low_episodes"` // 0 of a method that ranks none
	HighEpisodes int64 `json:"high_episodes"`

	// Pairs, or episodes to generate, and what follows are of the first round, where
	// --transitions or a ratio asks for as many as it takes.
	Pairs      int64 `json:"pairs"`
	Batches    int64 `json:"batches"`
	Partitions int64 `json:"partitions"`
	// Crossings is how many of the pairs are.
	Crossings  int64 `json:"crossings,omitempty"`
	FirstRound bool  `json:"first_round"`
	// Wanted is how many transitions D_aug must then hold.
	Wanted int64 `json:"wanted,omitempty"`

	// What is fetched for the states left and for the run's pool of candidates.
	// Entries are known only once models have chosen them: a window of the high
	// pool is fetched about once, so that HighPool is the most it comes to.
	LowEnds    datasetio.Weight `json:"low_ends"`
	Candidates datasetio.Weight `json:"candidates"`
	HighPool   datasetio.Weight `json:"high_pool"`

	// What follows is of a method that generates episodes whole: the transitions that
	// they have, and the runs of a model on a batch that those take, at most; and what
	// is fetched for the states that they begin in.
	Generated int64            `json:"generated,omitempty"`
	ModelRuns int64            `json:"model_runs,omitempty"`
	Starts    datasetio.Weight `json:"starts,omitzero"`
}
