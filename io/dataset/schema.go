package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet/schema"
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

// fileLayouts are what the files of a layout that can be asked for look like.
var fileLayouts = map[string]string{
	Transitions: Transitions, Episodes: Episodes, Minari: Minari,
	LeRobotV21: Transitions, LeRobotV30: Transitions, MinariArrow: Minari, MinariParquet: Minari,
}

// Layouts are the names of the layouts that can be asked for, as text.
func Layouts() string { return strings.Join(slices.Sorted(maps.Keys(fileLayouts)), ", ") }

// Options say how to read a file where its schema doesn't.
type Options struct {
	// Layout is one of the layouts above, or "" to recognise it.
	Layout string
	// Columns gives, for a column of the canonical layout, its name in the file;
	// name.member for a member of a struct, and one+another for a vector that is
	// made of several.
	Columns map[string]string
}

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
	// Columns are the file's own names by their canonical ones.
	Columns map[string]string `json:"columns"`
}

// spellings are the names a column of the canonical layout is found under. The
// first is its own.
var spellings = map[string][]string{
	"episode_id":          {"episode_id", "episode_index"},
	"step":                {"step", "frame_index"},
	"observations":        {"observations", "observation", "observation.state"},
	"next_observations":   {"next_observations", "next_observation", "next.observation.state"},
	"actions":             {"actions", "action"},
	"rewards":             {"rewards", "reward", "next.reward"},
	"terminals":           {"terminals", "terminal", "terminated"},
	"timeouts":            {"timeouts", "timeout", "truncated", "next.truncated"},
	"dones":               {"dones", "done", "next.done"},
	"source":              {"source"},
	"generated":           {"generated"},
	"low_episode_id":      {"low_episode_id"},
	"high_episode_id":     {"high_episode_id"},
	"qualification_error": {"qualification_error"},
}

// minariSpellings are the names in a file of the Minari layout.
var minariSpellings = map[string][]string{
	"observations":        {"observations"},
	"actions":             {"actions"},
	"rewards":             {"rewards"},
	"terminals":           {"terminations"},
	"timeouts":            {"truncations"},
	"generated":           {"infos.generated"},
	"qualification_error": {"infos.qualification_error"},
}

// vectorColumns may be made of several columns of the file.
var vectorColumns = []string{"observations", "next_observations", "actions"}

var provenanceColumns = []string{"source", "generated", "low_episode_id", "high_episode_id", "qualification_error"}

// requiredColumns are those that every layout has.
var requiredColumns = []string{"observations", "actions", "rewards"}

// depths is how deep each required column is nested in a layout. Observations
// and actions of one value may be one level less deep.
var depths = map[string]map[string]int{
	Transitions: {"observations": 1, "actions": 1, "rewards": 0},
	Episodes:    {"observations": 2, "actions": 2, "rewards": 1},
	Minari:      {"observations": 1, "actions": 1, "rewards": 0},
}

// binding is which leaf each canonical column is read from.
type binding map[string]leaf

// bind finds the columns of a layout among the file's leaves.
func bind(leaves map[string]leaf, layout string, opts Options) (binding, error) {
	names := spellings
	if layout == Minari {
		names = minariSpellings
	}
	bound := binding{}
	for name, found := range names {
		for _, spelling := range found {
			if l, ok := find(leaves, name, spelling); ok {
				bound[name] = l
				break
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Columns)) {
		given := opts.Columns[name]
		if _, ok := names[name]; !ok {
			return nil, fmt.Errorf("%w: no column is called %q; those that can be named are %s",
				ErrColumns, name, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
		}
		l, ok := find(leaves, name, given)
		if !ok {
			return nil, fmt.Errorf("%w: --column %s=%s: the file has no such column; it has %s", ErrColumns, name, given, describe(leaves))
		}
		bound[name] = l
	}
	for _, name := range requiredColumns {
		if _, ok := bound[name]; !ok {
			return nil, fmt.Errorf("%w: none is called %s; the file has %s; say which it is with --column %s=NAME",
				ErrColumns, strings.Join(names[name], " or "), describe(leaves), name)
		}
	}
	return bound, nil
}

// topLeaves are the columns that hold one kind of value, by name; a member of a
// struct goes by the struct's name and its own.
func topLeaves(s *schema.Schema) (map[string]leaf, error) {
	leaves := map[string]leaf{}
	ambiguous := map[string]bool{}
	for i := range s.NumColumns() {
		c := s.Column(i)
		name := columnName(c)
		if _, again := leaves[name]; again {
			ambiguous[name] = true
		}
		leaves[name] = leaf{
			name:    name,
			index:   i,
			kind:    c.PhysicalType(),
			depth:   int(c.MaxRepetitionLevel()),
			defined: c.MaxDefinitionLevel(),
		}
	}
	for name := range ambiguous { // nothing that a canonical column could be
		delete(leaves, name)
	}
	if len(leaves) == 0 {
		return nil, fmt.Errorf("%w: the file has no plain columns", ErrColumns)
	}
	return leaves, nil
}

// columnName is the name of a column, without the groups that make it a list.
func columnName(c *schema.Column) string {
	var path []schema.Node
	for n := c.SchemaNode(); n.Parent() != nil; n = n.Parent() {
		path = append(path, n)
	}
	var names []string
	for _, n := range slices.Backward(path) {
		names = append(names, n.Name())
		if kind := n.ConvertedType(); kind == schema.ConvertedTypes.List || kind == schema.ConvertedTypes.Map {
			break
		}
	}
	return strings.Join(names, ".")
}

func describe(leaves map[string]leaf) string {
	names := slices.Sorted(maps.Keys(leaves))
	for i, name := range names {
		l := leaves[name]
		kind := strings.ToLower(l.kind.String())
		names[i] = name + " (" + strings.Repeat("list of ", l.depth) + kind + ")"
	}
	return strings.Join(names, ", ")
}

// layout recognises how the rows are laid out, or checks what was asked for.
func (b binding) layout(asked string) (string, error) {
	found := Transitions
	if b["rewards"].depth > 0 {
		found = Episodes
	}
	if asked == "" {
		asked = found
	}
	for _, name := range requiredColumns {
		depth := depths[asked][name]
		for _, l := range b[name].all() {
			if l.depth == depth || (depth > 0 && name != "rewards" && l.depth == depth-1) {
				continue
			}
			return "", fmt.Errorf("%w: layout %s wants each row's %s to be a %snumber, column %q holds a %snumber; the columns look like layout %s",
				ErrColumns, asked, name, strings.Repeat("list of ", depth), l.name, strings.Repeat("list of ", l.depth), found)
		}
		if asked == Episodes && b[name].parts != nil {
			return "", fmt.Errorf("%w: layout %s takes %s from one column, not from %s", ErrColumns, asked, name, b[name].name)
		}
	}
	return asked, nil
}

// keep drops the columns that the layout doesn't read, and checks that episodes
// can be told apart.
func (b binding) keep(layout string) error {
	if layout == Episodes {
		for name := range b {
			if _, required := depths[Episodes][name]; !required && !b.flagsLists(name) {
				delete(b, name)
			}
		}
		return nil
	}
	if layout == Transitions && !b.hasAll(provenanceColumns...) {
		for _, name := range provenanceColumns {
			delete(b, name)
		}
	}
	if _, terminals := b["terminals"]; terminals {
		delete(b, "dones") // the word that says less
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		l := b[name]
		if !slices.Contains(vectorColumns, name) && l.depth > 0 {
			return fmt.Errorf("%w: column %q is a list, want one value for %s", ErrColumns, l.name, name)
		}
	}
	if layout == Transitions && !b.hasAny("episode_id", "step", "terminals", "timeouts", "dones") {
		return fmt.Errorf("%w: nothing tells where an episode ends; name one of episode_id, step, terminals, timeouts with --column, as in --column episode_id=NAME", ErrColumns)
	}
	return nil
}

// flagsLists is whether name is a list of flags of the Episodes layout.
func (b binding) flagsLists(name string) bool {
	return b[name].depth == 1 && slices.Contains([]string{"terminals", "timeouts", "dones"}, name)
}

func (b binding) hasAll(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { _, ok := b[name]; return !ok })
}

func (b binding) hasAny(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { _, ok := b[name]; return ok })
}

// names are the file's names by the canonical ones.
func (b binding) names() map[string]string {
	names := make(map[string]string, len(b))
	for name, l := range b {
		names[name] = l.name
	}
	return names
}
