package trajectory

// Location is where an episode's rows lie: enough to fetch it again without
// reading what comes before it.
type Location struct {
	File int32 // index into the run's sorted list of input files
	Row  int64 // first row of the episode in that file
	Rows int64 // rows it takes: T, or 1 in the row-an-episode layout
}

// Meta is what ranking and pairing know of an episode: all but its arrays.
type Meta struct {
	ID       int64
	Location Location
	Steps    int32 // T
	Return   float64
	// Score is what the episode is ranked by: its return, discounted or
	// normalised by length on request.
	Score float64
	End   End
	// HasFinal is whether the observation after the last step is known.
	HasFinal bool
}

// StateRef points at one state of an episode.
type StateRef struct {
	Episode Meta
	Step    int32
}

// Pair is one attempted stitch of the plan. Its Index fixes its batch, its
// random stream and the id of the episode that comes of it.
type Pair struct {
	Index int64
	// Low is s_T, where the low-return episode is left.
	Low StateRef
	// High is s′_1, where the high-return episode is entered; with several
	// candidates it is chosen among them by the imagined rollout.
	Candidates []StateRef
}

// PairBatch is a batch of the plan: the pairs [Index·batchSize, …).
type PairBatch struct {
	Index int64
	Pairs []Pair
}

// Stitch is what mixing knows of an accepted stitch: all but its bridge, which
// lies in a staged file.
type Stitch struct {
	Index int64 // of its pair
	Low   StateRef
	High  StateRef
	// Bridge is the number of generated transitions, Δ+1.
	Bridge int32
	// Staged is where the bridge's rows lie in the staged files of the run.
	Staged Location
	// MaxError is the largest qualification error of its transitions.
	MaxError float32
	Return   float64 // of the whole stitched episode
}

// Steps is the length of the stitched episode: the low episode up to s_T, the
// bridge, and the high episode from s′_1.
func (s Stitch) Steps() int {
	return int(s.Low.Step) + int(s.Bridge) + int(s.High.Episode.Steps-s.High.Step)
}
