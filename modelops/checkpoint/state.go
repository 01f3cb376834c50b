package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// State is an unfinished training: all that is needed to go on as if it had
// never stopped.
type State struct {
	Identity Identity `json:"identity"`
	Step     int      `json:"step"` // optimizer steps done
	// Progress is the trainer's own: the loss curve so far.
	Progress json.RawMessage `json:"progress,omitempty"`

	Variables []Tensor `json:"-"` // weights, Adam moments, averages
}

// stateKey is the metadata entry of the state file that holds the JSON of State.
// With the JSON in the same file as the arrays, one rename replaces both.
const stateKey = "diffstitch.training_state"

// SaveState writes the training state into dir, in place of an earlier one.
func SaveState(dir string, s State) error {
	if err := makeFolder(dir); err != nil {
		return fmt.Errorf("checkpoint: creating %q: %w", dir, err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("checkpoint: encoding a training state: %w", err)
	}
	var encoded bytes.Buffer
	if err := WriteTensors(&encoded, s.Variables, map[string]string{stateKey: string(text)}); err != nil {
		return err
	}
	return writeFile(dir, StateFile, encoded.Bytes())
}

// LoadState reads the training state of dir; found is false where there is none.
func LoadState(dir string) (s State, found bool, err error) {
	path := Join(dir, StateFile)
	data, err := readFile(path, maxWeights)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, false, nil
	}
	if err != nil {
		return State{}, false, fmt.Errorf("checkpoint: reading a training state: %w", err)
	}
	variables, metadata, err := ReadTensors(bytes.NewReader(data), int64(len(data)))
	if err == nil {
		err = json.Unmarshal([]byte(metadata[stateKey]), &s)
	}
	if err != nil {
		return State{}, false, fmt.Errorf("checkpoint: reading %q (delete it to start over): %w", path, err)
	}
	s.Variables = variables
	return s, true, nil
}
