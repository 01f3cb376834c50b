package gymnasium

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"diffstitch/modelops/env"
)

// Kinds of frames; server.py says what is in them.
const (
	kindHello    = 'h'
	kindReset    = 'r'
	kindObserved = 'o'
	kindStep     = 's'
	kindStepFrom = 'f'
	kindError    = 'e'
)

// maxWords bounds the frames that hold text, in bytes.
const maxWords = 1 << 20

// maxWidth bounds the vectors of an environment, in values.
const maxWidth = 1 << 16

// writeFrame writes a length, a kind and a body.
func writeFrame(w io.Writer, kind byte, body []byte) error {
	frame := binary.LittleEndian.AppendUint32(make([]byte, 0, 5+len(body)), uint32(len(body)+1))
	_, err := w.Write(append(append(frame, kind), body...))
	return err
}

// readFrame reads a frame whose body has size bytes, or is text.
func readFrame(r io.Reader, size int) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length, kind := int64(binary.LittleEndian.Uint32(head[:]))-1, head[4]
	switch text := kind == kindHello || kind == kindError; {
	case length < 0 || text && length > maxWords:
		return 0, nil, fmt.Errorf("a frame of kind %q claims %d bytes", kind, length)
	case !text && length != int64(size):
		return 0, nil, fmt.Errorf("a frame of kind %q has %d bytes, want %d", kind, length, size)
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, fmt.Errorf("a frame of %d bytes is cut short: %w", length, noEnd(err))
	}
	return kind, body, nil
}

// noEnd makes of the end of a stream an error that is no end: the frame goes on.
func noEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// hello asks for an environment.
type hello struct {
	Name      string      `json:"name"`
	Options   env.Options `json:"options"`
	Copies    int         `json:"copies"`
	Simulator bool        `json:"simulator"`
}

// parseSpec reads the answer to hello.
func parseSpec(body []byte) (s env.Spec, err error) {
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("reading the specification: %w", err)
	}
	sized := s.ObservationDim >= 1 && s.ObservationDim <= maxWidth && s.ActionDim >= 1 && s.ActionDim <= maxWidth
	if !sized || len(s.ActionLow) != s.ActionDim || len(s.ActionHigh) != s.ActionDim || s.MaxSteps < 0 {
		return s, fmt.Errorf("the specification cannot be: %d observation values, %d action values in %d and %d bounds, at most %d steps",
			s.ObservationDim, s.ActionDim, len(s.ActionLow), len(s.ActionHigh), s.MaxSteps)
	}
	return s, nil
}

// parseError reads an answer of kind e; python is the interpreter that gave it.
func parseError(body []byte, python string) error {
	kind, message, _ := strings.Cut(string(body), "\n")
	missing, ok := strings.CutPrefix(kind, "missing ")
	switch {
	case ok:
		return fmt.Errorf("%s lacks a package (%s); install it there with: %s -m pip install \"%s\"", python, message, python, missing)
	case kind == "unknown":
		return fmt.Errorf("%w: %s", env.ErrUnknown, message)
	}
	return errors.New(message)
}

// stepBytes is the size of the answer to a step of n copies.
func stepBytes(s env.Spec, n int) int { return n * (4*s.ObservationDim + 4 + 3) }

// parseStep reads the answer to a step of n copies, of stepBytes.
func parseStep(body []byte, s env.Spec, n int) env.Step {
	observations, body := floats(body, n*s.ObservationDim)
	rewards, body := floats(body, n)
	return env.Step{
		Observations: observations, Rewards: rewards,
		Terminals: flags(body[:n]), Timeouts: flags(body[n : 2*n]), Successes: flags(body[2*n:]),
	}
}

// floats reads the first n numbers, and gives what is left.
func floats(body []byte, n int) (values []float32, rest []byte) {
	values = make([]float32, n)
	read, err := binary.Decode(body, binary.LittleEndian, values)
	if err != nil {
		panic(err) // the size was checked
	}
	return values, body[read:]
}

func flags(body []byte) []bool {
	set := make([]bool, len(body))
	for i, b := range body {
		set[i] = b != 0
	}
	return set
}

// appendFloats never fails: numbers have a fixed size.
func appendFloats(body []byte, values []float32) []byte {
	body, _ = binary.Append(body, binary.LittleEndian, values)
	return body
}
