package nets

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// ResidualConfig is the shape of a residual perceptron that is told a level, as
// SynthER's denoiser is (Lu et al., 2023).
type ResidualConfig struct {
	Dim       int `json:"dim"`       // values of a row, in and out
	Width     int `json:"width"`     // of the residual layers
	Depth     int `json:"depth"`     // residual layers
	Embedding int `json:"embedding"` // width in which the row and the level meet
}

// Validate tells what is wrong with the configuration.
func (c ResidualConfig) Validate() error {
	if c.Dim < 1 || c.Width < 1 || c.Depth < 1 || c.Embedding < 1 {
		return fmt.Errorf("nets: residual net: dim, width, depth and embedding must be positive: %+v", c)
	}
	return nil
}

// Residual puts rows through residual layers x + W·relu(x) + b.
//
//	x:      [n, dim]
//	level:  [n], or [1] where all rows have the same
//	result: [n, dim]
func Residual(scope *model.Scope, cfg ResidualConfig, x, level *Node) *Node {
	check(cfg.Validate())
	x.AssertDims(-1, cfg.Dim)
	relu, swish := activations["relu"], activations["swish"]
	told := swish(Dense(scope.At("level_hidden"), waves(level), cfg.Embedding))
	told = Dense(scope.At("level"), told, cfg.Embedding) // [n or 1, embedding]
	x = Dense(scope.At("input"), x, cfg.Embedding)
	if told.Shape().Dim(0) == x.Shape().Dim(0) {
		x = Add(x, told)
	} else {
		x = addRow(x, Reshape(told, -1))
	}
	x = Dense(scope.At("first"), x, cfg.Width)
	for layer := range cfg.Depth {
		x = Add(x, Dense(scope.At("layer_%d", layer), relu(x), cfg.Width))
	}
	return Dense(scope.At("output"), relu(x), cfg.Dim)
}

// levelWaves is how many sines, and cosines, a level is shown as.
const levelWaves = 8

// waves shows a level, which spans a few units, as itself and as sines and
// cosines of 1/4 to 2 periods a unit. SynthER draws the frequencies at random.
//
//	level:  [n]
//	result: [n, 1+2·levelWaves]
func waves(level *Node) *Node {
	frequencies := make([]float32, levelWaves)
	for i := range frequencies {
		frequencies[i] = float32(2 * math.Pi * float64(i+1) / 4)
	}
	column := Reshape(level, -1, 1)
	angles := Dot(column, Reshape(Const(level.Graph(), frequencies), 1, -1)).Product() // [n, waves]
	return Concatenate([]*Node{column, Sin(angles), Cos(angles)}, -1)
}
