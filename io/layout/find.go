package layout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"diffstitch/io/parquet"
)

// finder finds columns by their names.
type finder struct {
	leaves  map[string]parquet.Leaf
	lowered map[string]parquet.Leaf // by their names in lower case
	// alike are the names that are the same in lower case, where they are several.
	alike map[string][]string
}

func newFinder(leaves map[string]parquet.Leaf) finder {
	f := finder{leaves, map[string]parquet.Leaf{}, map[string][]string{}}
	for name, l := range leaves {
		lower := strings.ToLower(name)
		f.alike[lower] = append(f.alike[lower], name)
		f.lowered[lower] = l
	}
	return f
}

// first gives the leaf of the first spelling of a canonical column that the file has,
// in the case that it is spelt in before any other.
func (f finder) first(canonical string, spellings []string) (l parquet.Leaf, ok bool, err error) {
	for _, spelling := range spellings {
		if l, ok = find(f.leaves, canonical, spelling); ok {
			return l, true, nil
		}
	}
	for _, spelling := range spellings {
		lower := strings.ToLower(spelling)
		if l, ok = find(f.lowered, canonical, lower); !ok {
			continue
		}
		if names := f.alike[lower]; len(names) > 1 {
			slices.Sort(names)
			return l, false, fmt.Errorf("%w: the columns %s differ by case alone; say which is %s with --column %s=NAME",
				parquet.ErrColumns, strings.Join(names, " and "), canonical, canonical)
		}
		return l, true, nil
	}
	return parquet.Leaf{}, false, nil
}

// find gives the leaf of a name; for a vector also all members of a struct, in
// the order of their names, as Gymnasium flattens a Dict, or several columns in
// the order given: one+another.
func find(leaves map[string]parquet.Leaf, canonical, name string) (parquet.Leaf, bool) {
	if l, ok := leaves[name]; ok {
		return l, true
	}
	if !slices.Contains(vectorColumns, canonical) {
		return parquet.Leaf{}, false
	}
	var parts []parquet.Leaf
	for part := range strings.SplitSeq(name, "+") {
		found := members(leaves, part)
		if len(found) == 0 {
			return parquet.Leaf{}, false
		}
		parts = append(parts, found...)
	}
	return parquet.Join(parts), true
}

// members is the leaf of a name, or those of the struct of that name.
func members(leaves map[string]parquet.Leaf, name string) (found []parquet.Leaf) {
	if l, ok := leaves[name]; ok {
		return []parquet.Leaf{l}
	}
	for member, l := range leaves {
		if strings.HasPrefix(member, name+".") {
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b parquet.Leaf) int { return cmp.Compare(a.Name, b.Name) })
	return found
}
