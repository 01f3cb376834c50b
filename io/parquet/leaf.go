package parquet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Kind is the physical type of a column's values.
type Kind = parquet.Type

// The kinds.
var (
	Boolean   = parquet.Types.Boolean
	Int32     = parquet.Types.Int32
	Int64     = parquet.Types.Int64
	Float     = parquet.Types.Float
	Double    = parquet.Types.Double
	ByteArray = parquet.Types.ByteArray

	fixedByteArray = parquet.Types.FixedLenByteArray
)

// Leaf is where a column's values lie in the file.
type Leaf struct {
	Name  string
	Kind  Kind
	Depth int // nested lists around a value: 0, 1 or 2
	// Parts are what a row's vector is made of, in order, where that is more than
	// one column; the rest is then that of the first.
	Parts []Leaf
	Size  int // how many values of a row a part gives, once it is known

	index int // of the leaf among the file's leaves
	// defined is the definition level of a value that is there.
	defined int16
	half    bool // it holds float16
}

// Join makes one vector of several columns.
func Join(parts []Leaf) Leaf {
	if len(parts) == 1 {
		return parts[0]
	}
	joined := parts[0]
	joined.Parts = parts
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.Name
	}
	joined.Name = strings.Join(names, "+")
	return joined
}

// Text is whether it holds text, or what stands for it as UUIDs do.
func (l Leaf) Text() bool { return l.Kind == ByteArray || l.Kind == fixedByteArray && !l.half }

// All are the leaves that hold the column's values.
func (l Leaf) All() []Leaf {
	if l.Parts == nil {
		return []Leaf{l}
	}
	return l.Parts
}

// topLeaves are the columns that hold one kind of value, by name; a member of a
// struct goes by the struct's name and its own.
func topLeaves(s *schema.Schema) (map[string]Leaf, error) {
	leaves := map[string]Leaf{}
	ambiguous := map[string]bool{}
	for i := range s.NumColumns() {
		c := s.Column(i)
		name := columnName(c)
		if _, again := leaves[name]; again {
			ambiguous[name] = true
		}
		leaves[name] = Leaf{
			Name:    name,
			Kind:    c.PhysicalType(),
			Depth:   int(c.MaxRepetitionLevel()),
			index:   i,
			defined: c.MaxDefinitionLevel(),
			half:    half(c),
		}
	}
	for name := range ambiguous { // nothing that a column could be asked for by
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

// Describe lists columns with what they hold.
func Describe(leaves map[string]Leaf) string {
	names := slices.Sorted(maps.Keys(leaves))
	for i, name := range names {
		l := leaves[name]
		kind := strings.ToLower(l.Kind.String())
		names[i] = name + " (" + strings.Repeat("list of ", l.Depth) + kind + ")"
	}
	return strings.Join(names, ", ")
}
