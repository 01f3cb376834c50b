package parquet

import "fmt"

// Fault is what is wrong with a row's list.
type Fault string

// The faults of lists.
const (
	MissingValue Fault = "missing value"       // a null
	Ragged       Fault = "wrong vector length" // a vector not as long as the others
	TooLong      Fault = "too long"            // more values than asked for
)

// List is one row's values, in a layout where a row holds a whole episode.
type List[V any] struct {
	Values []V // [steps, width], good until the next row
	Steps  int
	Fault  Fault // "" where every vector has width values
	Detail string
}

// episodeLevels is how many levels of a row are read at a time where a row
// holds an episode.
const episodeLevels = 1 << 14

// NextList is the next row, which holds a list of vectors (depth 2) or a list of
// numbers (depth 1), of at most limit values. It appends to into[:0].
func (c *Column[V]) NextList(into []V, limit int) (List[V], error) {
	out := List[V]{Values: into[:0]}
	length := 0 // of the current vector
	for began := false; ; began = true {
		more, err := c.refill(episodeLevels)
		if err != nil {
			return out, err
		}
		if !more && !began {
			return out, fmt.Errorf("column %q ends early", c.Name)
		}
		if !more || (began && c.repetition[c.usedLevels] == 0) {
			break
		}
		if c.repetition[c.usedLevels] < 2 { // a number at depth 1, a vector at depth 2
			c.endVector(&out, length)
			out.Steps++
			length = 0
		}
		length++
		if err := c.takeInto(&out, limit); err != nil {
			return out, err
		}
	}
	c.endVector(&out, length)
	return out, nil
}

// takeInto moves one level, and its value if it has one, into the list.
func (c *Column[V]) takeInto(out *List[V], limit int) error {
	defined := c.definition[c.usedLevels] == c.defined
	c.usedLevels++
	if !defined {
		out.reject(MissingValue, "step %d: %s is null or empty", out.Steps-1, c.Name)
		return nil
	}
	if c.usedCount == c.count {
		return c.shortPage()
	}
	if len(out.Values) < limit {
		out.Values = append(out.Values, c.values[c.usedCount])
	} else {
		out.reject(TooLong, "%s has more than %d values", c.Name, limit)
	}
	c.usedCount++
	return nil
}

// endVector checks the length of the list's last vector.
func (c *Column[V]) endVector(out *List[V], length int) {
	if out.Steps > 0 && length != c.width {
		out.reject(Ragged, "step %d: %s has %d values, want %d", out.Steps-1, c.Name, length, c.width)
	}
}

// reject keeps the first reason.
func (l *List[V]) reject(reason Fault, format string, args ...any) {
	if l.Fault == "" {
		l.Fault, l.Detail = reason, fmt.Sprintf(format, args...)
	}
}
