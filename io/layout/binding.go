package layout

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"diffstitch/io/parquet"
)

// spellings are the names a column of the canonical layout is found under. The
// first is its own.
var spellings = map[string][]string{
	"episode_id":          {"episode_id", "episode_index"},
	"original_id":         {"original_id"},
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
	"from_episode_id":     {"from_episode_id"},
	"from_step":           {"from_step"},
	"qualification_error": {"qualification_error"},
	Residual:              {Residual},
}

// minariSpellings are the names in a file of the Minari layout.
var minariSpellings = map[string][]string{
	"observations":        {"observations"},
	"actions":             {"actions"},
	"rewards":             {"rewards"},
	"terminals":           {"terminations"},
	"timeouts":            {"truncations"},
	"generated":           {"infos.generated"},
	"from_episode_id":     {"infos.from_episode_id"},
	"from_step":           {"infos.from_step"},
	"qualification_error": {"infos.qualification_error"},
	Residual:              {"infos." + Residual},
}

// vectorColumns may be made of several columns of the file.
var vectorColumns = []string{"observations", "next_observations", "actions"}

// Residual is the column of what a refined bridge's transitions are off by. Earlier
// versions' D*s have none.
const Residual = "refinement_residual"

// ProvenanceColumns are those of D* that say where an episode comes from.
var ProvenanceColumns = []string{"source", "generated", "low_episode_id", "high_episode_id", "qualification_error"}

// requiredColumns are those that every layout has.
var requiredColumns = []string{"observations", "actions", "rewards"}

// depths is how deep each required column is nested in a layout. Observations
// and actions of one value may be one level less deep, and lists of one thing stand
// for the thing.
var depths = map[string]map[string]int{
	Transitions: {"observations": 1, "actions": 1, "rewards": 0},
	Episodes:    {"observations": 2, "actions": 2, "rewards": 1},
	Minari:      {"observations": 1, "actions": 1, "rewards": 0},
}

// Binding is which leaf each canonical column is read from.
type Binding map[string]parquet.Leaf

// Bind finds the columns of a layout among the file's leaves, by their names or, where
// no column has one, by names that differ from it by case alone.
func Bind(leaves map[string]parquet.Leaf, layout string, opts Options) (Binding, error) {
	names := spellings
	if layout == Minari {
		names = minariSpellings
	}
	finder := newFinder(leaves)
	bound := Binding{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		l, ok, err := finder.first(name, names[name])
		if err != nil {
			return nil, err
		}
		if ok {
			bound[name] = l
		}
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Columns)) {
		given := opts.Columns[name]
		if _, ok := names[name]; !ok {
			return nil, fmt.Errorf("%w: no column is called %q; those that can be named are %s",
				parquet.ErrColumns, name, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
		}
		l, ok, err := finder.first(name, []string{given})
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("%w: --column %s=%s: the file has no such column; it has %s", parquet.ErrColumns, name, given, parquet.Describe(leaves))
		}
		bound[name] = l
	}
	for _, name := range requiredColumns {
		if _, ok := bound[name]; !ok {
			return nil, fmt.Errorf("%w: none is called %s; the file has %s; say which it is with --column %s=NAME",
				parquet.ErrColumns, strings.Join(names[name], " or "), parquet.Describe(leaves), name)
		}
	}
	return bound, bound.continuous()
}

// continuous refuses actions that are choices: what is regressed between two of them is
// neither.
func (b Binding) continuous() error {
	for _, l := range b["actions"].All() {
		switch l.Kind {
		case parquet.Boolean, parquet.Int32, parquet.Int64:
			return fmt.Errorf("%w: column %q holds %s: actions must be continuous, since those of a bridge are regressed and would fall between two choices; "+
				"where its numbers are amounts, cast the column to float32", parquet.ErrColumns, l.Name, strings.ToLower(l.Kind.String()))
		}
	}
	return nil
}

// Arrange recognises how the rows are laid out, or checks what was asked for, and drops
// the columns that the layout doesn't read. width gives the length of a column's lists.
func (b Binding) Arrange(asked string, width func(parquet.Leaf) (int, error)) (layout string, err error) {
	if layout, err = b.layout(asked, width); err != nil {
		return "", err
	}
	return layout, b.keep(layout, width)
}

func (b Binding) layout(asked string, width func(parquet.Leaf) (int, error)) (string, error) {
	found, rewards := Transitions, b["rewards"]
	if rewards.Depth > 1 {
		found = Episodes
	}
	if rewards.Depth == 1 {
		if n, err := width(rewards); err != nil || n != 1 {
			found = Episodes
		}
	}
	if l, ok := b["step"]; ok && l.Depth == 0 {
		found = Transitions // a row has one step
	}
	if asked == "" {
		asked = found
	}
	for _, name := range requiredColumns {
		depth := depths[asked][name]
		for _, l := range b[name].All() {
			if d := l.Depth - depth; d == 0 || d == 1 || (d == -1 && depth > 0 && name != "rewards") {
				continue
			}
			return "", fmt.Errorf("%w: layout %s wants each row's %s to be a %snumber, column %q holds a %snumber; the columns look like layout %s",
				parquet.ErrColumns, asked, name, strings.Repeat("list of ", depth), l.Name, strings.Repeat("list of ", l.Depth), found)
		}
		if asked == Episodes && b[name].Parts != nil {
			return "", fmt.Errorf("%w: layout %s takes %s from one column, not from %s", parquet.ErrColumns, asked, name, b[name].Name)
		}
	}
	return asked, nil
}

// keep drops the columns that the layout doesn't read, and checks that episodes
// can be told apart.
func (b Binding) keep(layout string, width func(parquet.Leaf) (int, error)) error {
	if layout == Episodes {
		for name := range b {
			if _, required := depths[Episodes][name]; !required && !b.flagsLists(name) {
				delete(b, name)
			}
		}
		return nil
	}
	b.keepText()
	if layout == Transitions && !b.HasAll(ProvenanceColumns...) {
		for _, name := range ProvenanceColumns {
			delete(b, name)
		}
		delete(b, Residual)
	}
	if _, terminals := b["terminals"]; terminals {
		if dones, ok := b["dones"]; ok && !b.HasAny("episode_id", "timeouts") {
			b["timeouts"] = dones // ends that are not terminal
		}
		delete(b, "dones") // the word that says less
	}
	if err := b.single(width); err != nil {
		return err
	}
	if layout == Transitions && !b.HasAny("episode_id", "step", "terminals", "timeouts", "dones") {
		return fmt.Errorf("%w: nothing tells where an episode ends; name one of episode_id, step, terminals, timeouts with --column, as in --column episode_id=NAME", parquet.ErrColumns)
	}
	return nil
}

// keepText has ids that are text kept beside the numbers that stand for them.
func (b Binding) keepText() {
	if ids, ok := b["episode_id"]; ok && ids.Text() {
		b["original_id"] = ids
	}
	if l, ok := b["original_id"]; ok && !l.Text() {
		delete(b, "original_id")
	}
}

// single checks that columns of one value a row have one, or lists of one.
func (b Binding) single(width func(parquet.Leaf) (int, error)) error {
	for _, name := range slices.Sorted(maps.Keys(b)) {
		l := b[name]
		if slices.Contains(vectorColumns, name) || l.Depth == 0 || l.Text() {
			continue // a list of several texts is seen in its row
		}
		n, err := width(l)
		if err != nil {
			return err
		}
		if n > 1 {
			return fmt.Errorf("%w: column %q holds lists of %d values, want one value for %s", parquet.ErrColumns, l.Name, n, name)
		}
	}
	return nil
}

// flagsLists is whether name is a list of flags of the Episodes layout.
func (b Binding) flagsLists(name string) bool {
	return b[name].Depth >= 1 && slices.Contains([]string{"terminals", "timeouts", "dones"}, name)
}

// HasAll is whether the file has every one of some canonical columns.
func (b Binding) HasAll(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { _, ok := b[name]; return !ok })
}

// HasAny is whether the file has at least one of some canonical columns.
func (b Binding) HasAny(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { _, ok := b[name]; return ok })
}

// Names are the file's names by the canonical ones.
func (b Binding) Names() map[string]string {
	names := make(map[string]string, len(b))
	for name, l := range b {
		names[name] = l.Name
	}
	return names
}

// Narrowed are the canonical names of the columns of numbers that float32 holds less
// precisely than the file does.
func (b Binding) Narrowed() (names []string) {
	for _, name := range []string{"observations", "next_observations", "actions", "rewards"} {
		if slices.ContainsFunc(b[name].All(), func(l parquet.Leaf) bool { return l.Kind == parquet.Double }) {
			names = append(names, name)
		}
	}
	return names
}

// Leaves are those that are read.
func (b Binding) Leaves() iter.Seq[parquet.Leaf] {
	return func(yield func(parquet.Leaf) bool) {
		for _, bound := range b {
			for _, l := range bound.All() {
				if !yield(l) {
					return
				}
			}
		}
	}
}
