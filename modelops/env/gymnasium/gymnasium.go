// Package gymnasium runs environments of Python's Gymnasium, such as MuJoCo's
// Hopper-v5. It starts a small Python program, which it talks to through pipes.
package gymnasium

import (
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"diffstitch/modelops/env"
)

// DefaultPython is the interpreter that runs the program.
const DefaultPython = "python3"

//go:embed server.py
var server string

// Vector is copies of an environment that are stepped together.
type Vector struct {
	process *process
	spec    env.Spec
	n       int
}

// Open makes n copies of the environment of a name, as in Hopper-v5, that end with
// ctx. python is the interpreter, "" for DefaultPython. The options are gymnasium.make's
// and, after env.ResetPrefix, those of reset(options=…), where lists become arrays.
func Open(ctx context.Context, python, name string, options env.Options, n int) (*Vector, error) {
	if n < 1 {
		return nil, fmt.Errorf("gymnasium: %d copies of %s asked for", n, name)
	}
	p, spec, err := open(ctx, python, hello{Name: name, Options: options, Copies: n})
	if err != nil {
		return nil, fmt.Errorf("gymnasium: opening %s: %w", name, err)
	}
	return &Vector{p, spec, n}, nil
}

func open(ctx context.Context, python string, asked hello) (*process, env.Spec, error) {
	p, err := start(ctx, python)
	if err != nil {
		return nil, env.Spec{}, err
	}
	spec, err := greet(p, asked)
	if err != nil {
		p.close() // the first error counts
		return nil, env.Spec{}, err
	}
	spec.Name, spec.Options = asked.Name, asked.Options
	describe(&spec)
	return p, spec, nil
}

func greet(p *process, asked hello) (env.Spec, error) {
	question, err := json.Marshal(asked)
	if err != nil {
		return env.Spec{}, err
	}
	answer, err := p.call(kindHello, question, kindHello, 0)
	if p.broken != nil {
		return env.Spec{}, fmt.Errorf("by %s (is it Python 3?): %w", p.python, err)
	}
	if err != nil {
		return env.Spec{}, err
	}
	return parseSpec(answer)
}

// Spec is what the environment is.
func (v *Vector) Spec() env.Spec { return v.spec }

// Reset begins an episode in each copy.
func (v *Vector) Reset(seeds []uint64) ([]float32, error) {
	if len(seeds) != v.n {
		return nil, fmt.Errorf("gymnasium: %s: %d seeds for %d copies", v.spec.Name, len(seeds), v.n)
	}
	var question []byte
	for _, seed := range seeds {
		question = binary.LittleEndian.AppendUint64(question, seed)
	}
	values := v.n * v.spec.ObservationDim
	answer, err := v.process.call(kindReset, question, kindObserved, 4*values)
	if err != nil {
		return nil, fmt.Errorf("gymnasium: beginning episodes of %s: %w", v.spec.Name, err)
	}
	observations, _ := floats(answer, values)
	return observations, nil
}

// Step takes an action in each copy.
func (v *Vector) Step(actions []float32) (env.Step, error) {
	if len(actions) != v.n*v.spec.ActionDim {
		return env.Step{}, fmt.Errorf("gymnasium: %s: %d action values for %d copies", v.spec.Name, len(actions), v.n)
	}
	answer, err := v.process.call(kindStep, appendFloats(nil, actions), kindStep, stepBytes(v.spec, v.n))
	if err != nil {
		return env.Step{}, fmt.Errorf("gymnasium: a step of %s: %w", v.spec.Name, err)
	}
	return parseStep(answer, v.spec, v.n), nil
}

// Close ends the program.
func (v *Vector) Close() error { return closing(v.process, v.spec) }

func closing(p *process, s env.Spec) error {
	if err := p.close(); err != nil {
		return fmt.Errorf("gymnasium: closing %s: %w", s.Name, err)
	}
	return nil
}

// Simulator judges transitions of an environment whose state can be set from an
// observation.
type Simulator struct {
	process *process
	spec    env.Spec
}

// OpenSimulator is Open for the judgement of transitions.
func OpenSimulator(ctx context.Context, python, name string, options env.Options) (*Simulator, error) {
	p, spec, err := open(ctx, python, hello{Name: name, Options: options, Copies: 1, Simulator: true})
	if err != nil {
		return nil, fmt.Errorf("gymnasium: opening %s: %w", name, err)
	}
	return &Simulator{p, spec}, nil
}

// Spec is what the environment is.
func (s *Simulator) Spec() env.Spec { return s.spec }

// maxRows is how many rows go over the pipe at once.
const maxRows = 1 << 12

// StepFrom takes an action from each of m states.
//
//	observations: [m, S]
//	actions:      [m, A]
func (s *Simulator) StepFrom(observations, actions []float32) (next, rewards []float32, err error) {
	S, A := s.spec.ObservationDim, s.spec.ActionDim
	m := len(actions) / A
	if len(actions) != m*A || len(observations) != m*S {
		return nil, nil, fmt.Errorf("gymnasium: %s: %d observation and %d action values do not fit each other", s.spec.Name, len(observations), len(actions))
	}
	for from := 0; from < m; from += maxRows {
		to := min(from+maxRows, m)
		question := appendFloats(appendFloats(nil, observations[from*S:to*S]), actions[from*A:to*A])
		answer, err := s.process.call(kindStepFrom, question, kindStepFrom, 4*(to-from)*(S+1))
		if err != nil {
			return nil, nil, fmt.Errorf("gymnasium: stepping %s from rows %d to %d: %w", s.spec.Name, from, to, err)
		}
		followed, rest := floats(answer, (to-from)*S)
		earned, _ := floats(rest, to-from)
		next, rewards = append(next, followed...), append(rewards, earned...)
	}
	return next, rewards, nil
}

// Close ends the program.
func (s *Simulator) Close() error { return closing(s.process, s.spec) }
