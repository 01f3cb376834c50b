package study

import (
	"fmt"

	"diffstitch/io/dataset"
	"diffstitch/io/snapshot"
	"diffstitch/pipelines/failure"
	"diffstitch/pipelines/input"
)

// given is a dataset that is there already: what its files hold, and how they are
// read.
type given struct {
	SHA256  []string        `json:"sha256"`
	Options dataset.Options `json:"options"`
}

// fingerprint is the key of a dataset that is there already.
func fingerprint(d input.Data) (string, error) {
	files, err := dataset.Files(d.Path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", failure.ErrData, err)
	}
	g := given{Options: d.Options}
	for _, path := range files {
		sum, _, err := snapshot.HashFile(path)
		if err != nil {
			return "", fmt.Errorf("%w: %w", failure.ErrData, err)
		}
		g.SHA256 = append(g.SHA256, sum)
	}
	return hashed(DataStep, g)
}
