package dataset

import (
	"io"

	"diffstitch/io/layout"
	"diffstitch/io/layout/minari"
	"diffstitch/io/layout/transitions"
	"diffstitch/io/parquet"
)

// What this package hands out of those below it.
type (
	// Options say how to read a file where its schema doesn't.
	Options = layout.Options
	// Schema is what a file holds.
	Schema = layout.Schema
	// Item is an episode of a file, or why it was rejected.
	Item = layout.Item
	// Groups are the row groups [From, To) of a file.
	Groups = layout.Groups
	// Reject is an episode that was left out, and Reason why.
	Reject = layout.Reject
	Reason = layout.Reason
	// Cache keeps the latest of what was read, up to a number of bytes.
	Cache = parquet.Cache
	// Writer writes episodes as a table of D*.
	Writer       = transitions.Writer
	WriterConfig = transitions.WriterConfig
	// Export writes episodes as a folder of another tool's layout.
	Export       = layout.Writer
	ExportConfig = layout.ExportConfig
)

// Disordered says what to do where most episodes are rejected for the order of their rows.
var Disordered = layout.Disordered

// The layouts.
const (
	Transitions   = layout.Transitions
	Episodes      = layout.Episodes
	Minari        = layout.Minari
	LeRobotV21    = layout.LeRobotV21
	LeRobotV30    = layout.LeRobotV30
	MinariArrow   = layout.MinariArrow
	MinariParquet = layout.MinariParquet
)

// The reasons why an episode is rejected.
const (
	TooShort      = layout.TooShort
	TooLong       = layout.TooLong
	NotFinite     = layout.NotFinite
	Ragged        = layout.Ragged
	MissingValue  = layout.MissingValue
	StartsLate    = layout.StartsLate
	StepGap       = layout.StepGap
	FlagInside    = layout.FlagInside
	IDReturns     = layout.IDReturns
	LengthsDiffer = layout.LengthsDiffer
	BadProvenance = layout.BadProvenance
)

// Why a file, or a folder, cannot be read.
var (
	ErrNoFiles    = layout.ErrNoFiles
	ErrNotParquet = parquet.ErrNotParquet
	ErrNotArrow   = minari.ErrNotArrow
	ErrMetadata   = layout.ErrMetadata
	ErrColumns    = parquet.ErrColumns
)

// DefaultMaxEpisodeSteps is how many steps an episode may have where nothing is said.
const DefaultMaxEpisodeSteps = layout.DefaultMaxEpisodeSteps

// DefaultRowGroupRows is how many rows a row group has where nothing is said.
const DefaultRowGroupRows = transitions.DefaultRowGroupRows

// NewWriter begins a file of D*. The caller closes w after the Writer.
func NewWriter(w io.Writer, config WriterConfig) (*Writer, error) {
	return transitions.NewWriter(w, config)
}

// WriteRejects writes one JSON object per line.
func WriteRejects(w io.Writer, rejects []Reject) error { return layout.WriteRejects(w, rejects) }

// NewCache makes a cache of so many bytes.
func NewCache(bytes int64) *Cache { return parquet.NewCache(bytes) }

// Cached gives the value of a key, which belongs to the cache, and whether it was
// there. If not, make makes it and says what it takes; others who ask for it meanwhile
// wait.
func Cached[V any](c *Cache, key any, make func() (value V, bytes int64, err error)) (value V, hit bool, err error) {
	return parquet.Cached(c, key, make)
}
