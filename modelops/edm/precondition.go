package edm

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"diffstitch/modelops/nets"
	"diffstitch/modelops/random"
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

// Noise draws noise levels and makes training examples of clean rows: what the net is
// shown, and what it should put out, so that the squared error of the output is the
// denoiser's, weighted by λ(σ) = 1/out² (equations 7 and 8).
//
//	clean, input, target: [batch, dim]
//	level:                [batch]
func Noise(draws *random.Draws, clean *Node) (input, level, target *Node) {
	const variance = dataDeviation * dataDeviation
	batch, dim := clean.Shape().Dim(0), clean.Shape().Dim(1)
	logSigma := AddScalar(MulScalar(draws.Normal(batch), logDeviation), logMean)
	rows := func(x *Node) *Node { return BroadcastToShape(InsertAxes(x, -1), clean.Shape()) }
	sigma := Exp(logSigma)
	total := AddScalar(Square(sigma), variance)
	skip, out := Div(constantLike(total, variance), total), Div(MulScalar(sigma, dataDeviation), Sqrt(total))
	noisy := Add(clean, Mul(rows(sigma), draws.Normal(batch, dim)))
	input = Mul(noisy, rows(Reciprocal(Sqrt(total))))
	target = Div(Sub(clean, Mul(rows(skip), noisy)), rows(out))
	return input, MulScalar(logSigma, 0.25), target
}

// constantLike is a value in the shape of a node.
func constantLike(x *Node, value float64) *Node { return AddScalar(ZerosLike(x), value) }

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
