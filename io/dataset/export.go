package dataset

import (
	"fmt"
	"slices"
)

// Exports are the layouts that [NewExport] writes.
var Exports = []string{LeRobotV21, LeRobotV30, MinariArrow, MinariParquet}

// NewExport begins to fill a folder of another tool's layout.
func NewExport(dir string, c ExportConfig) (Export, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	for _, l := range layouts {
		if slices.Contains(l.Folders, c.Layout) {
			return l.Write(dir, c)
		}
	}
	return nil, fmt.Errorf("dataset: layout %q cannot be written; %v can", c.Layout, Exports)
}
