package transitions

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"diffstitch/io/layout"
	"diffstitch/io/parquet"
)

// neighbours are the files before and after one, as far as an episode goes on from one
// into the next: that is so where the steps go on, of the same id.
type neighbours struct {
	before, after func() (layout.Reader, error) // nil where there is none
	joined        int                           // files that an episode goes on over before this one

	begun *bool // whether the file's first row is of an episode of the one before
	next  *Reader
	asked bool // whether next is known
}

// edge is what a file's first or last row says of its place in an episode.
type edge struct {
	id, step int64
	hasID    bool
	ends     bool // it is flagged as an episode's last
}

// Between tells the reader which files come before and after its own, which it asks for
// when it needs them. They are nil where there is none.
func (r *Reader) Between(before, after func() (layout.Reader, error), joined int) {
	r.near.before, r.near.after, r.near.joined = before, after, joined
}

// Why an episode is not followed into the next file, in which it goes on.
var (
	errManyFiles    = fmt.Errorf("it goes on over more than %d files", layout.MaxJoined)
	errOtherColumns = errors.New("it goes on in a file whose columns are others: give all files the same")
)

// beginsInside is whether the first row goes on with an episode of the file before.
func (r *Reader) beginsInside() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.near.begun != nil {
		return *r.near.begun, nil
	}
	begun, err := r.goesOnFromBefore()
	if err == nil {
		r.near.begun = &begun
	}
	return begun, err
}

func (r *Reader) goesOnFromBefore() (bool, error) {
	if r.near.before == nil || !r.tellsSteps() {
		return false, nil
	}
	if first, err := r.edge(0); err != nil || first.step == 0 {
		return false, err
	}
	found, err := r.near.before()
	if previous, ok := found.(*Reader); ok && err == nil {
		return previous.goesOnIn(r)
	}
	return false, err
}

// following is the file in which the last episode goes on; nil where it does not.
func (r *Reader) following() (*Reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.near.asked {
		return r.near.next, nil
	}
	next, err := r.goesOnAfter()
	if err == nil {
		r.near.next, r.near.asked = next, true
	}
	return next, err
}

func (r *Reader) goesOnAfter() (*Reader, error) {
	if r.near.after == nil || !r.tellsSteps() {
		return nil, nil
	}
	found, err := r.near.after()
	next, ok := found.(*Reader)
	if err != nil || !ok {
		return nil, err
	}
	goesOn, err := r.goesOnIn(next)
	switch {
	case err != nil || !goesOn:
		return nil, err
	case r.near.joined+1 == layout.MaxJoined:
		return nil, errManyFiles
	case !r.fits(next):
		return nil, errOtherColumns
	}
	next.Share(r.cache)
	return next, nil
}

// tellsSteps is whether the file says where in its episode a row stands.
func (r *Reader) tellsSteps() bool { return r.Columns.HasAny("step") && r.File.Schema.Rows > 0 }

// goesOnIn is whether the last episode goes on in another file.
func (r *Reader) goesOnIn(next *Reader) (bool, error) {
	if r.File.Schema.ImplicitIDs != next.File.Schema.ImplicitIDs || !r.tellsSteps() || !next.tellsSteps() {
		return false, nil
	}
	last, err := r.edge(r.File.Schema.Rows - 1)
	if err != nil || last.ends {
		return false, err
	}
	first, err := next.edge(0)
	return first.step > 0 && first.step == last.step+1 && first.hasID == last.hasID && first.id == last.id, err
}

// fits is whether an episode of this file can go on in another: what is read of its steps
// is the same.
func (r *Reader) fits(next *Reader) bool {
	a, b := r.File.Schema, next.File.Schema
	return a.ObservationDim == b.ObservationDim && a.ActionDim == b.ActionDim && a.Provenance == b.Provenance &&
		r.Columns.HasAny("next_observations") == next.Columns.HasAny("next_observations")
}

// edge reads what a row says of its place.
func (r *Reader) edge(row int64) (e edge, err error) {
	err = r.one(row, func(b *layout.Block) {
		if b.Steps.Width > 0 {
			e.step = b.Steps.Values[0]
		}
		e.ends = b.Ends(0)
		if b.IDs.Width > 0 {
			e.id, e.hasID = b.IDs.Values[0], b.IDs.OK(0)
		}
	}, "episode_id", "step", "terminals", "dones", "timeouts")
	return e, err
}

// one reads the named columns of a row.
func (r *Reader) one(row int64, use func(*layout.Block), names ...string) (err error) {
	defer parquet.Recovered(&err)
	rows := r.rows(0, names...)
	defer rows.Close() // nothing was written
	if err := rows.Enter(r.table.GroupOf(row), row); err != nil {
		return err
	}
	b, err := rows.Next(1)
	if err == nil {
		use(b)
	}
	return err
}

// Notes are what a user should know of how the file is read, a line each.
func (r *Reader) Notes() (notes []string, err error) {
	defer parquet.Recovered(&err)
	unmarked, err := r.unmarked()
	if err != nil {
		return nil, err
	}
	if unmarked {
		notes = append(notes, "nothing says where episodes end, each file is read as one: name a column that does, as in --column episode_id=NAME or --column timeouts=NAME")
	}
	open, err := r.endsOpen()
	if err != nil {
		return nil, err
	}
	if open {
		notes = append(notes, "the last episode of a file is not flagged as ended, and no id or step says whether it goes on in the next: each is read as ended there")
	}
	whole, err := r.wholeActions()
	if err != nil {
		return nil, err
	}
	if whole {
		notes = append(notes, "actions are whole numbers: where these are choices and not amounts, a bridge's actions would fall between them")
	}
	return notes, nil
}

// endsOpen is whether nothing says that the last episode ends where the file does, and
// another file follows.
func (r *Reader) endsOpen() (bool, error) {
	if r.near.after == nil || r.Columns.HasAny("episode_id", "step") || r.File.Schema.Rows == 0 {
		return false, nil
	}
	last, err := r.edge(r.File.Schema.Rows - 1)
	return !last.ends, err
}

// wholeActions is whether the first actions are whole numbers, and not all the same.
func (r *Reader) wholeActions() (bool, error) {
	rows := r.rows(0, "actions")
	defer rows.Close() // nothing was written
	b, err := rows.Next(math.MaxInt64)
	if err == parquet.ErrDone {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	values := b.Actions.Values
	fraction := slices.ContainsFunc(values, func(v float32) bool { return v != float32(math.Trunc(float64(v))) })
	return !fraction && slices.Min(values) < slices.Max(values), nil
}

// unmarked is whether nothing says where an episode ends: there are no ids and no steps,
// and no flag is ever set.
func (r *Reader) unmarked() (bool, error) {
	if r.Columns.HasAny("episode_id", "step") {
		return false, nil
	}
	rows := r.rows(0, "terminals", "dones", "timeouts")
	defer rows.Close() // nothing was written
	for {
		b, err := rows.Next(math.MaxInt64)
		if err == parquet.ErrDone {
			return r.File.Schema.Rows > 0, nil
		}
		if err != nil {
			return false, err
		}
		for i := range b.Rows {
			if b.Ends(i) {
				return false, nil
			}
		}
	}
}

// CheckOrder refuses a file whose first rows are in no order: most of them neither go on
// with the episode of the row before nor begin one.
func (r *Reader) CheckOrder() (err error) {
	defer parquet.Recovered(&err)
	if !r.Columns.HasAny("episode_id") || r.File.Schema.Rows == 0 {
		return nil
	}
	rows := r.rows(0, "episode_id", "step")
	defer rows.Close() // nothing was written
	var o order
	for o.rows < orderRows {
		b, err := rows.Next(int64(orderRows - o.rows))
		if err == parquet.ErrDone {
			break
		}
		if err != nil {
			return err
		}
		o.add(b)
	}
	if 4*o.strays <= o.rows { // of rows in any order more than that are astray
		return nil
	}
	by := []string{r.Columns["episode_id"].Name}
	if l, ok := r.Columns["step"]; ok {
		by = append(by, l.Name)
	}
	return fmt.Errorf("%w by %s: %s", layout.ErrUnsorted, strings.Join(by, " and "), layout.HowToSort(by...))
}

// orderRows is how many rows show whether they are in order.
const orderRows = 1 << 16

// order counts, among rows, those that are out of their place.
type order struct {
	rows, strays int
	id, step     int64
	seen         map[int64]bool
}

func (o *order) add(b *layout.Block) {
	if o.seen == nil {
		o.seen = map[int64]bool{}
	}
	for i := range b.Rows {
		id, step := b.IDs.Values[i], int64(0)
		if b.Steps.Width > 0 {
			step = b.Steps.Values[i]
		}
		switch goesOn := o.rows > 0 && id == o.id; {
		case goesOn && b.Steps.Width > 0 && step <= o.step:
			o.strays++
		case !goesOn && (o.seen[id] || step != 0) && o.rows > 0:
			o.strays++
		}
		o.seen[id] = true
		o.id, o.step = id, step
		o.rows++
	}
}
