package study

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"diffstitch/modelops/learners"
)

// Names of methods and learners for readers.
var (
	methodNames  = map[string]string{Original: "original data", SynthER: "SynthER", TATU: "TATU", DiffStitch: "DiffStitch"}
	learnerNames = map[string]string{IQL: "IQL", TD3BC: "TD3+BC", DT: "DT"}
)

// stitchingNames say whose settings DiffStitch has.
var stitchingNames = map[string]string{
	ours: "by its defaults", asPaper: "as the paper has it", asReference: "as the authors' code has it",
}

// modelsName is a preset, and the horizon in place of its own.
func modelsName(preset string, horizon int) string {
	if horizon == 0 {
		return "preset " + preset
	}
	return fmt.Sprintf("preset %s, horizon %d", preset, horizon)
}

// datasetName is the name of a dataset by its path, in small letters:
// hopper-medium.parquet is hopper-medium, and …/D4RL/pen/human-v2 is pen-human-v2.
func datasetName(path string) string {
	parts := strings.Split(strings.ToLower(filepath.ToSlash(filepath.Clean(path))), "/")
	for i := len(parts) - 3; i >= 0; i-- {
		if slices.Contains(learners.Namespaces, parts[i]) {
			return parts[i+1] + "-" + parts[i+2]
		}
	}
	name := parts[len(parts)-1]
	for _, ext := range []string{".parquet", ".arrow", ".hdf5"} {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}
