// Package mix lays out D* = D ∪ D_aug (DiffStitch, section 4.3): which episodes
// go into which file and row group, in which order. It only decides: the rows are
// written by io/datasetio.
package mix

import (
	"fmt"
	"strconv"
	"strings"

	"diffstitch/io/trajectory"
)

// What a stitch leaves in D*.
const (
	EmitTrajectory = "trajectory" // low part, bridge and high part: the paper
	EmitBridge     = "bridge"     // the bridge alone: the authors' code
)

// Config of the layout.
type Config struct {
	Ratio Ratio  `json:"ratio"`
	Emit  string `json:"emit"`
	// RowGroupRows and PartRows are how many rows a row group and a file hold;
	// each ends with the episode that reaches it, a file of many short ones
	// earlier.
	RowGroupRows int64 `json:"row_group_rows"`
	PartRows     int64 `json:"part_rows"`
}

// Validate reports a layout that cannot be.
func (c Config) Validate() error {
	if c.Emit != EmitTrajectory && c.Emit != EmitBridge {
		return fmt.Errorf("mix: unknown form %q of a stitch: want %s or %s", c.Emit, EmitTrajectory, EmitBridge)
	}
	if c.RowGroupRows < 1 || c.PartRows < c.RowGroupRows {
		return fmt.Errorf("mix: files of %d rows in row groups of %d", c.PartRows, c.RowGroupRows)
	}
	return nil
}

// Rows is how many transitions of D_aug an outcome gives.
func (c Config) Rows(o trajectory.Outcome) int64 {
	if c.Emit == EmitBridge && o.Episodes == 0 {
		return int64(o.BridgeRows())
	}
	return o.Rows()
}

// Ratio is original:augmented transitions; the zero Ratio takes all there is.
type Ratio struct {
	Original  int64 `json:"original"`
	Augmented int64 `json:"augmented"`
}

// ParseRatio reads "concat" or "O:A".
func ParseRatio(s string) (Ratio, error) {
	if s == "concat" {
		return Ratio{}, nil
	}
	o, a, found := strings.Cut(s, ":")
	original, errO := strconv.ParseInt(o, 10, 32)
	augmented, errA := strconv.ParseInt(a, 10, 32)
	if !found || errO != nil || errA != nil || original < 0 || augmented < 0 || original+augmented == 0 {
		return Ratio{}, fmt.Errorf("mix: %q is no mix: want concat, or O:A such as 4:1", s)
	}
	return Ratio{Original: original, Augmented: augmented}, nil
}

func (r Ratio) String() string {
	if r == (Ratio{}) {
		return "concat"
	}
	return fmt.Sprintf("%d:%d", r.Original, r.Augmented)
}
