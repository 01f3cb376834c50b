package training

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
)

// mapping turns the rows of a kind's two arguments into a perceptron's input, and
// its output into the result, one row at a time:
//
//	inverse   (s, s′) → a    input [s/σ, (s′−s)/σ_Δ], output a/σ
//	reward    (s, a)  → r    input [s/σ, a/σ],        output r/σ, or a logit where rewards are sparse
//	dynamics  (s, a)  → s′   input [s/σ, a/σ],        output (s′−s)/σ_Δ
//
// where x/σ stands for (x − mean)/σ. With terminals, a reward's result and output
// have a second value: the probability that s′ is terminal, and its logit.
//
// In dimensions that no step of the data changes, s′−s is 0 for the nets and in their
// results: there f_ω predicts s.
type mapping struct {
	kind            Kind
	stats           Statistics
	still           []bool // [S], dimensions that no step changes
	terminals       bool
	inputs, outputs int
}

func newMapping(kind Kind, stats Statistics, terminals bool) mapping {
	stateDim, actionDim := len(stats.ObservationMean), len(stats.ActionMean)
	m := mapping{kind: kind, stats: stats, still: stats.still(), terminals: terminals, inputs: stateDim + actionDim}
	switch kind {
	case InverseDynamics:
		m.inputs, m.outputs = 2*stateDim, actionDim
	case Reward:
		m.outputs = 1
		if terminals {
			m.outputs = 2
		}
	case Dynamics:
		m.outputs = stateDim
	}
	return m
}

// second is the width of the second argument.
func (m mapping) second() int { return m.inputs - len(m.stats.ObservationMean) }

// features writes the input for a state and the second argument.
func (m mapping) features(input, state, second []float32) {
	standardize(input, state, m.stats.ObservationMean, m.stats.ObservationScale)
	rest := input[len(m.stats.ObservationMean):]
	if m.kind == InverseDynamics {
		m.delta(rest, state, second)
		return
	}
	standardize(rest, second, m.stats.ActionMean, m.stats.ActionScale)
}

func standardize(dst, src, mean, scale []float32) {
	for d := range mean {
		dst[d] = (src[d] - mean[d]) / scale[d]
	}
}

// delta writes (s′−s)/σ_Δ.
func (m mapping) delta(dst, state, next []float32) {
	for d, scale := range m.stats.DeltaScale {
		if dst[d] = 0; !m.still[d] {
			dst[d] = (next[d] - state[d]) / scale
		}
	}
}

// target writes what the net should put out for the result.
func (m mapping) target(target, state, result []float32) {
	switch {
	case m.kind == InverseDynamics:
		standardize(target, result, m.stats.ActionMean, m.stats.ActionScale)
	case m.kind == Dynamics:
		m.delta(target, state, result)
	case m.stats.SparseRewards:
		target[0] = 0
		if result[0] == m.stats.RewardHigh {
			target[0] = 1
		}
	default:
		target[0] = (result[0] - m.stats.RewardMean) / m.stats.RewardScale
	}
	if m.terminals {
		target[terminalOutput] = result[terminalOutput]
	}
}

// result undoes target for an output of the net.
func (m mapping) result(result, state, output []float32) {
	switch {
	case m.kind == InverseDynamics:
		for d, scale := range m.stats.ActionScale {
			result[d] = output[d]*scale + m.stats.ActionMean[d]
		}
	case m.kind == Dynamics:
		for d, scale := range m.stats.DeltaScale {
			if result[d] = state[d]; !m.still[d] {
				result[d] += output[d] * scale
			}
		}
	case m.stats.SparseRewards:
		result[0] = m.stats.RewardLow + logistic(output[0])*(m.stats.RewardHigh-m.stats.RewardLow)
	default:
		result[0] = output[0]*m.stats.RewardScale + m.stats.RewardMean
	}
	if m.terminals {
		result[terminalOutput] = logistic(output[terminalOutput])
	}
}

// logistic is the probability of a logit.
func logistic(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// terminalOutput is the place of the terminal state's logit in a reward's output.
const terminalOutput = 1

// logits is whether a value of the net's output is the logit of a probability.
func (m mapping) logits(output int) bool {
	return m.kind == Reward && (output == terminalOutput || m.stats.SparseRewards)
}

// loss is the mean squared error, or the cross-entropy of logits. With terminals
// it is the sum of the reward's and the terminal state's.
//
//	output, target: [batch, outputs]
//	result:         scalar
func (m mapping) loss(output, target *Node) *Node {
	if !m.terminals {
		return meanLoss(m.logits(0), output, target)
	}
	column := func(x *Node, i int) *Node { return Slice(x, AxisRange(), AxisElem(i)) } // [batch, 1]
	reward := meanLoss(m.logits(0), column(output, 0), column(target, 0))
	terminal := meanLoss(true, column(output, terminalOutput), column(target, terminalOutput))
	return Add(reward, terminal)
}

// meanLoss is the mean over all values of an output.
func meanLoss(logits bool, output, target *Node) *Node {
	if logits {
		// log(1 + e^x) − x·y, written so that no exponential overflows.
		softplus := Add(MaxScalar(output, 0), Log1P(Exp(Neg(Abs(output)))))
		return ReduceAllMean(Sub(softplus, Mul(output, target)))
	}
	return ReduceAllMean(Square(Sub(output, target)))
}

// hostLoss is loss outside of a graph.
func (m mapping) hostLoss(outputs, targets []float32) float64 {
	sum, count := 0.0, len(targets)
	if m.terminals {
		count /= m.outputs // a sum of two means
	}
	for i, target := range targets {
		x, y := float64(outputs[i]), float64(target)
		if m.logits(i % m.outputs) {
			sum += crossEntropy(x, y)
		} else {
			sum += (x - y) * (x - y)
		}
	}
	return sum / float64(count)
}

// crossEntropy of a logit x where the truth is y.
func crossEntropy(x, y float64) float64 {
	return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) - x*y
}
