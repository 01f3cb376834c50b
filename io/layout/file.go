package layout

import (
	"cmp"
	"fmt"

	"diffstitch/io/parquet"
)

// File is what is known of an open file, whatever its layout.
type File struct {
	Path    string
	Columns Binding
	Schema  Schema
	Bytes   int64 // of the file
	// MaxEpisodeSteps is how long an episode may be.
	MaxEpisodeSteps int
}

// What an episode may take in memory, in bytes: some, and more where its file is large.
const (
	episodeBytes   = 8 << 20
	episodePerByte = 128
)

// MaxValues is how many values one column of one episode may have.
func (f *File) MaxValues() int {
	return int(min(parquet.MaxEpisodeValues, (episodeBytes+episodePerByte*f.Bytes)/4))
}

// tooLong says why an episode of so many steps, and values in all its columns, is too
// long; "" where it is not.
func (f *File) tooLong(steps, values int64) string {
	switch most := cmp.Or(f.MaxEpisodeSteps, DefaultMaxEpisodeSteps); {
	case steps > int64(most):
		return fmt.Sprintf("it has more than %d steps: --max-episode-steps allows more", most)
	case 4*values > episodeBytes+episodePerByte*f.Bytes:
		return fmt.Sprintf("it would take more than %d bytes, of a file of %d", episodeBytes+episodePerByte*f.Bytes, f.Bytes)
	}
	return ""
}
