// Package checkpoint keeps models on disk.
//
// A model is a folder:
//
//	model.json                  what the model is: kind, dimensions, configuration,
//	                            data it was trained on, normalisers, loss curve
//	weights.safetensors         the averaged (EMA) weights
//	training_state.safetensors  only while training is unfinished: weights, Adam
//	                            moments, averages and the step they belong to
//
// Every file is written under a temporary name, flushed to the disk and renamed.
// model.json comes last and holds the hash of the weights, so that a folder has
// a finished model exactly when it has a model.json.
package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// FormatVersion is the version of the layout that this package writes. A folder
// with a newer one is refused.
const FormatVersion = 1

// The files of a model's folder.
const (
	ModelFile   = "model.json"
	WeightsFile = "weights.safetensors"
	StateFile   = "training_state.safetensors"
)

// Model is the content of model.json: all of a model but its weights.
type Model struct {
	FormatVersion  int    `json:"format_version"`
	Kind           string `json:"kind"` // denoiser, inverse, reward, dynamics, or a learner
	ObservationDim int    `json:"observation_dim"`
	ActionDim      int    `json:"action_dim"`

	// Identity is what the weights are a function of. Training again with an
	// equal identity gives the same model.
	Identity Identity `json:"identity"`

	// Details are the kind's own: normalisers, statistics of the data, loss curve
	// and held-out errors. Its shape belongs to the package that trains.
	Details json.RawMessage `json:"details"`

	// WeightsSHA256 is the hash of weights.safetensors, set by Save.
	WeightsSHA256 string `json:"weights_sha256"`
}

// Decode reads the kind's own parts of the model: its configuration, and its details.
func (m Model) Decode(config, details any) error {
	if err := json.Unmarshal(m.Identity.Config, config); err != nil {
		return fmt.Errorf("reading the configuration of the %s model: %w", m.Kind, err)
	}
	if err := json.Unmarshal(m.Details, details); err != nil {
		return fmt.Errorf("reading the details of the %s model: %w", m.Kind, err)
	}
	return nil
}

// Identity is everything that decides what the weights come out as.
type Identity struct {
	Config             json.RawMessage `json:"config"` // the kind's own configuration
	DatasetFingerprint string          `json:"dataset_fingerprint"`
	Seed               uint64          `json:"seed"`
	Backend            string          `json:"backend"` // go or xla
	// Initial is the hash of the model whose weights the training began with, and
	// WarmSteps the optimizer steps it then took; none where it began at random.
	Initial   string `json:"initial,omitempty"`
	WarmSteps int    `json:"warm_steps,omitempty"`
}

// Difference says in words where two identities differ, and is empty when they
// are equal.
func (id Identity) Difference(other Identity) string {
	switch {
	case id.DatasetFingerprint != other.DatasetFingerprint:
		return fmt.Sprintf("dataset %.12s against %.12s", id.DatasetFingerprint, other.DatasetFingerprint)
	case id.Seed != other.Seed:
		return fmt.Sprintf("seed %d against %d", id.Seed, other.Seed)
	case id.Backend != other.Backend:
		return fmt.Sprintf("backend %s against %s", id.Backend, other.Backend)
	case id.Initial != other.Initial:
		return fmt.Sprintf("initial weights %.12q against %.12q", id.Initial, other.Initial)
	case id.WarmSteps != other.WarmSteps:
		return fmt.Sprintf("warm_steps %d against %d", id.WarmSteps, other.WarmSteps)
	default:
		return configDifference(id.Config, other.Config)
	}
}

// configDifference names the first field, in the order of the path, that two JSON
// documents disagree on.
func configDifference(a, b json.RawMessage) string {
	var left, right any
	if json.Unmarshal(a, &left) != nil || json.Unmarshal(b, &right) != nil {
		if bytes.Equal(a, b) {
			return ""
		}
		return "configuration"
	}
	return valueDifference("", left, right)
}

// Save writes the model and its weights to dir, and removes the training state,
// which has served its purpose. It returns the model's hash.
func Save(dir string, m Model, weights []Tensor) (string, error) {
	if err := makeFolder(dir); err != nil {
		return "", fmt.Errorf("checkpoint: creating %q: %w", dir, err)
	}
	var encoded bytes.Buffer
	if err := WriteTensors(&encoded, weights, nil); err != nil {
		return "", err
	}
	if err := writeFile(dir, WeightsFile, encoded.Bytes()); err != nil {
		return "", err
	}
	m.FormatVersion = FormatVersion
	m.WeightsSHA256 = hashOf(encoded.Bytes())
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", fmt.Errorf("checkpoint: encoding %q: %w", Join(dir, ModelFile), err)
	}
	text = append(text, '\n')
	if err := writeFile(dir, ModelFile, text); err != nil {
		return "", err
	}
	if err := removeFile(Join(dir, StateFile)); err != nil {
		return "", fmt.Errorf("checkpoint: removing the training state: %w", err)
	}
	return hashOf(text), nil
}

// Describe reads model.json alone and returns it with the model's hash, which
// covers the weights too since model.json holds theirs.
func Describe(dir string) (Model, string, error) {
	path := Join(dir, ModelFile)
	text, err := readFile(path, maxModel)
	if errors.Is(err, fs.ErrNotExist) {
		return Model{}, "", missing(dir)
	}
	if err != nil {
		return Model{}, "", fmt.Errorf("checkpoint: reading the model: %w", err)
	}
	var m Model
	if err := json.Unmarshal(text, &m); err != nil {
		return Model{}, "", fmt.Errorf("checkpoint: reading %q: %w", path, err)
	}
	if m.FormatVersion < 1 || m.FormatVersion > FormatVersion {
		return Model{}, "", fmt.Errorf("checkpoint: %q has format version %d, this program reads up to %d", path, m.FormatVersion, FormatVersion)
	}
	return m, hashOf(text), nil
}

// Open reads a finished model, its hash and its weights.
func Open(dir string) (Model, string, []Tensor, error) {
	m, hash, err := Describe(dir)
	if err != nil {
		return Model{}, "", nil, err
	}
	path := Join(dir, WeightsFile)
	data, err := readFile(path, maxWeights)
	if errors.Is(err, fs.ErrNotExist) {
		return Model{}, "", nil, fmt.Errorf("checkpoint: %s has a %s but no %s: delete the folder and run `diffstitch train` again", dir, ModelFile, WeightsFile)
	}
	if err != nil {
		return Model{}, "", nil, fmt.Errorf("checkpoint: reading the weights: %w", err)
	}
	if hashOf(data) != m.WeightsSHA256 {
		return Model{}, "", nil, fmt.Errorf("checkpoint: %q is not the file that %s was written with: delete the folder and run `diffstitch train` again", path, ModelFile)
	}
	weights, _, err := ReadTensors(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return Model{}, "", nil, fmt.Errorf("checkpoint: reading %q: %w", path, err)
	}
	return m, hash, weights, nil
}

// ErrUnfinished is wrapped by the errors of Describe and Open for a folder
// without a finished model.
var ErrUnfinished = errors.New("no finished model")

// missing says what a folder without model.json lacks and what to do about it.
func missing(dir string) error {
	has := func(name string) bool { return exists(Join(dir, name)) }
	switch {
	case !has(""):
		return fmt.Errorf("checkpoint: %w: there is no folder %s: run `diffstitch train` first", ErrUnfinished, dir)
	case has(StateFile):
		return fmt.Errorf("checkpoint: %w: %s has a training state but no finished weights: run `diffstitch train` again to resume", ErrUnfinished, dir)
	case has(WeightsFile):
		return fmt.Errorf("checkpoint: %w: %s has weights but no %s: run `diffstitch train` again", ErrUnfinished, dir, ModelFile)
	default:
		return fmt.Errorf("checkpoint: %w: %s has no %s: run `diffstitch train` first", ErrUnfinished, dir, ModelFile)
	}
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
