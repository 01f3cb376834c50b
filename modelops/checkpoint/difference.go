package checkpoint

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// valueDifference compares two decoded JSON values and names the first path at
// which they disagree, with both values.
func valueDifference(path string, a, b any) string {
	if reflect.DeepEqual(a, b) {
		return ""
	}
	left, leftIsObject := a.(map[string]any)
	right, rightIsObject := b.(map[string]any)
	if !leftIsObject || !rightIsObject {
		return fmt.Sprintf("%s %v against %v", path, a, b)
	}
	union := maps.Clone(left)
	maps.Copy(union, right)
	for _, name := range slices.Sorted(maps.Keys(union)) {
		sub := name
		if path != "" {
			sub = path + "." + name
		}
		if d := valueDifference(sub, left[name], right[name]); d != "" {
			return d
		}
	}
	return ""
}
