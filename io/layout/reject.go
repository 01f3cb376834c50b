package layout

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// Reason is why an episode was rejected.
type Reason string

// The reasons, as reports and rejects files spell them.
const (
	TooShort      Reason = "too short"           // fewer than two steps
	TooLong       Reason = "too long"            // more values than memory should hold
	NotFinite     Reason = "not finite"          // NaN or Inf
	Ragged        Reason = "wrong vector length" // a vector not as long as the file's others
	MissingValue  Reason = "missing value"       // a null
	StartsLate    Reason = "starts late"         // the first step is not 0
	StepGap       Reason = "steps not in order"
	FlagInside    Reason = "flag inside"    // a terminal or timeout before the last row
	IDReturns     Reason = "id comes back"  // the id's rows are not contiguous
	LengthsDiffer Reason = "lengths differ" // the lists of one episode differ in length
	BadProvenance Reason = "bad provenance" // source, generated and the rest contradict each other
)

// Reject is an episode that was left out, and why.
type Reject struct {
	File string `json:"file"`
	// Row is the row the episode begins at, 0-based.
	Row       int64 `json:"row"`
	EpisodeID int64 `json:"episode_id"`
	// OriginalID is the id where it is text, for which EpisodeID stands.
	OriginalID string `json:"original_id,omitempty"`
	Reason     Reason `json:"reason"`
	// Detail says which row and value.
	Detail string `json:"detail,omitempty"`
}

// Disordered says, where more episodes are rejected for the order of their rows than are
// used, what to do; "" where that is not so.
func Disordered(used int64, rejects map[Reason]int64) string {
	if n := rejects[StartsLate] + rejects[StepGap] + rejects[IDReturns]; n == 0 || n <= used {
		return ""
	}
	return "most episodes lack rows, count steps from another number than 0, or are not sorted by episode and step: " + HowToSort("episode_id", "step")
}

// String is the reject on one line, for a person to read.
func (r Reject) String() string {
	id := strconv.FormatInt(r.EpisodeID, 10)
	if r.OriginalID != "" {
		id = strconv.Quote(r.OriginalID)
	}
	return fmt.Sprintf("%s: row %d: episode %s: %s: %s", r.File, r.Row, id, r.Reason, r.Detail)
}

// WriteRejects writes one JSON object per line.
func WriteRejects(w io.Writer, rejects []Reject) error {
	encoder := json.NewEncoder(w)
	for _, r := range rejects {
		if err := encoder.Encode(r); err != nil {
			return fmt.Errorf("dataset: writing rejects: %w", err)
		}
	}
	return nil
}
