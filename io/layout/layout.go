// Package layout says how episodes lie in files: what a layout must do, how the columns
// of a file are found by their names, and how rows become episodes, or rejects with
// their reason. The layouts themselves are the packages below it.
package layout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"diffstitch/io/parquet"
	"diffstitch/io/trajectory"
)

// The layouts that are read.
const (
	// Transitions is one row a transition, an episode's rows in order.
	Transitions = "transitions"
	// Episodes is one row an episode, with nested lists.
	Episodes = "episodes"
	// Minari is one file an episode, with a row more than steps: the last one
	// holds the final observation.
	Minari = "minari"
)

// The layouts of other tools' folders, which are written too.
const (
	LeRobotV21    = "lerobot-v2.1"
	LeRobotV30    = "lerobot-v3.0"
	MinariArrow   = "minari-arrow"
	MinariParquet = "minari-parquet"
)

// Options say how to read a file where its schema doesn't.
type Options struct {
	// Layout is one of the layouts above, or "" to recognise it.
	Layout string
	// Columns gives, for a column of the canonical layout, its name in the file;
	// name.member for a member of a struct, and one+another for a vector that is
	// made of several.
	Columns map[string]string
	// MaxEpisodeSteps is how long an episode may be; 0 for DefaultMaxEpisodeSteps.
	MaxEpisodeSteps int `json:",omitempty"`
}

// DefaultMaxEpisodeSteps is how many steps an episode may have where nothing is said.
const DefaultMaxEpisodeSteps = 1_000_000

// Schema is what a file holds.
type Schema struct {
	Layout         string `json:"layout"`
	ObservationDim int    `json:"observation_dim"` // S; 0 in a file without rows
	ActionDim      int    `json:"action_dim"`      // A
	Rows           int64  `json:"rows"`
	// ImplicitIDs is whether episodes have no id in the file. Their id is then
	// the row they begin at, which is unique in the file alone.
	ImplicitIDs bool `json:"implicit_ids"`
	// Provenance is whether the columns of D* that say where an episode comes
	// from are all there.
	Provenance bool `json:"provenance"`
	// TextIDs is whether the ids of episodes are text in the file. They are then
	// numbers that have nothing to say but which episodes are the same.
	TextIDs bool `json:"text_ids,omitempty"`
	// OriginalIDs is whether episodes have an id that is text.
	OriginalIDs bool `json:"original_ids,omitempty"`
	// Narrowed are the canonical columns that the file holds as float64, and that are
	// read as float32.
	Narrowed []string `json:"narrowed,omitempty"`
	// Columns are the file's own names by their canonical ones.
	Columns map[string]string `json:"columns"`
}

// Groups are the row groups [From, To) of a file.
type Groups struct {
	From, To int
}

// Item is an episode of a file, or why it was rejected.
type Item struct {
	Episode *trajectory.Episode // nil where rejected
	// Location is where the episode's rows lie. Its File is left 0, for the
	// caller to set.
	Location trajectory.Location
	Reject   *Reject // nil where the episode is good
}

// Clone is an item of its own, where what is kept must stay as it was read.
func (i Item) Clone() Item {
	if i.Episode == nil {
		return i
	}
	e := *i.Episode
	e.Observations = slices.Clone(e.Observations)
	e.Actions = slices.Clone(e.Actions)
	e.Rewards = slices.Clone(e.Rewards)
	e.FinalObservation = slices.Clone(e.FinalObservation)
	i.Episode = &e
	return i
}

// Err is an error where the episode was rejected.
func (i Item) Err() error {
	if i.Reject == nil {
		return nil
	}
	return fmt.Errorf("it is rejected: %s: %s", i.Reject.Reason, i.Reject.Detail)
}

// Column is one column of the steps [from, to) of the episode.
func (i Item) Column(from, to int, column Column) ([]float32, error) {
	if err := i.Err(); err != nil {
		return nil, err
	}
	values, steps := column.In(i.Episode), i.Episode.Len()
	if to > steps {
		return nil, fmt.Errorf("the episode has %d steps", steps)
	}
	width := len(values) / steps
	return slices.Clone(values[from*width : to*width]), nil
}

// Reader reads the episodes of an open file. Its methods may be called concurrently.
type Reader interface {
	Schema() Schema
	// Groups is the number of row groups, FirstRow the first row of one, and
	// GroupBytes what one takes decoded, about.
	Groups() int
	FirstRow(group int) int64
	GroupBytes(group int) int64
	// Episodes hands out the episodes that begin in some row groups.
	Episodes(Groups) Stream
	// Fetch reads the episode at a location that Episodes gave.
	Fetch(trajectory.Location) (Item, error)
	// Column reads one column of the steps [from, to) of an episode.
	Column(at trajectory.Location, from, to int, column Column) ([]float32, error)
	// Share has decoded row groups kept in a cache with others.
	Share(*parquet.Cache)
	// Rest gives up what is held to read on.
	Rest()
}

// RowReader is a Reader of rows that are transitions. Its last episode may go on in the
// next file, and its first rows be of an episode of the file before.
type RowReader interface {
	Reader
	// Between tells which readers come before and after, that stay open as long as it
	// is; nil where there is none. joined is how many files an episode goes on over when
	// it comes to this one.
	Between(before, after func() (Reader, error), joined int)
	// CheckOrder gives ErrUnsorted where the first rows show that there is no order.
	CheckOrder() error
	// Notes are what a user should know of how the file is read, a line each.
	Notes() ([]string, error)
}

// MaxJoined is how many files an episode may go on over: they are all open at a time.
const MaxJoined = 16

// HowToSort says how rows are sorted by some columns.
func HowToSort(by ...string) string {
	return fmt.Sprintf("sort them first, as DuckDB does by COPY (FROM 'data/*.parquet' ORDER BY %s) TO 'sorted.parquet'", strings.Join(by, ", "))
}

// Stream hands out episodes in order.
type Stream interface {
	// Next gives parquet.ErrDone after the last, and an error when ctx ends.
	Next(ctx context.Context) (Item, error)
	Close() error
}

// Writer writes episodes. What is written is of use once Close has written what is
// known at the end.
type Writer interface {
	Write(e *trajectory.Episode) error
	Close() error
}

// Column is one that can be read by itself.
type Column struct {
	Name string
	Of   func(*Block) *parquet.Vectors[float32] // in rows of transitions
	In   func(e *trajectory.Episode) []float32  // in a whole episode
}

// The columns that can be read by themselves.
var (
	Observations = Column{
		Name: "observations",
		Of:   func(b *Block) *parquet.Vectors[float32] { return &b.Observations },
		In:   func(e *trajectory.Episode) []float32 { return e.Observations },
	}
	Rewards = Column{
		Name: "rewards",
		Of:   func(b *Block) *parquet.Vectors[float32] { return &b.Rewards },
		In:   func(e *trajectory.Episode) []float32 { return e.Rewards },
	}
)

var (
	// ErrNoFiles is returned where a path leads to no Parquet file.
	ErrNoFiles = errors.New("no parquet files")
	// ErrUnsorted is returned for a file whose rows are in no order.
	ErrUnsorted = errors.New("the rows are not sorted")
	// ErrMetadata is returned where what a folder says of itself cannot be.
	ErrMetadata = errors.New("metadata do not fit")
)
