package edm

import (
	"math"
	"math/rand/v2"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/nets"
)

// coefficients wrap the net F to the denoiser D at a noise level σ, table 1:
//
//	D(x) = skip·x + out·F(in·x, level)
type coefficients struct {
	sigma         float64
	skip, out, in float64
	level         float64 // c_noise
}

func at(sigma float64) coefficients {
	const data = dataDeviation
	total := sigma*sigma + data*data
	return coefficients{
		sigma: sigma,
		skip:  data * data / total,
		out:   sigma * data / math.Sqrt(total),
		in:    1 / math.Sqrt(total),
		level: math.Log(sigma) / 4,
	}
}

// Noise draws a noise level and makes a training example of a clean row: what
// the net is shown, and what it should put out, so that the squared error of the
// output is the denoiser's, weighted by λ(σ) = 1/out² (equations 7 and 8).
//
//	clean, input, target: [dim]
func Noise(rng *rand.Rand, clean, input, target []float32) (level float32) {
	c := at(math.Exp(logMean + logDeviation*rng.NormFloat64()))
	for i, value := range clean {
		noisy := float64(value) + c.sigma*rng.NormFloat64()
		input[i] = float32(c.in * noisy)
		target[i] = float32((float64(value) - c.skip*noisy) / c.out)
	}
	return float32(c.level)
}

// Loss is the mean squared error of the net.
//
//	input, target: [batch, dim]
//	level:         [batch]
//	result:        scalar
func Loss(scope *model.Scope, cfg Config, input, level, target *Node) *Node {
	check(cfg.Validate())
	return ReduceAllMean(Square(Sub(nets.Residual(scope, cfg.Net, input, level), target)))
}

// check panics on a wrong configuration, as graph building does.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
