package backend

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/compute"
)

// Precision is how matrix products and convolutions of float32 numbers are computed.
type Precision string

// Precisions. All but BF16 leave the numbers between the products in float32, and so does
// that: it rounds what a product of the denoiser is made of.
const (
	PrecisionAuto Precision = "auto" // as GOMLX_BACKEND says; else TF32 on CUDA, F32 elsewhere
	F32           Precision = "f32"
	TF32          Precision = "tf32" // 10 bits of mantissa in place of 23, on CUDA
	BF16          Precision = "bf16" // 7 bits, on XLA
)

// Precisions lists them.
var Precisions = []string{string(PrecisionAuto), string(F32), string(TF32), string(BF16)}

// Validate reports a precision that there is not.
func (p Precision) Validate() error {
	if p != "" && !slices.Contains(Precisions, string(p)) {
		return fmt.Errorf("backend: unknown precision %q: it is one of %s", p, strings.Join(Precisions, ", "))
	}
	return nil
}

// Asked is the precision, or "" where that is PrecisionAuto, which asks for nothing.
func (p Precision) Asked() Precision {
	if p == PrecisionAuto {
		return ""
	}
	return p
}

// SetPrecision has all graphs that are built on the backend from now on use a precision;
// "" is PrecisionAuto. It returns the roundoff: see Info.
func SetPrecision(engine compute.Backend, p Precision) (float64, error) {
	if err := p.Validate(); err != nil {
		return 0, err
	}
	switch {
	case p == BF16 && IsGo(engine):
		return 0, fmt.Errorf("backend: precision %s needs XLA: the pure-Go backend computes in float32", p)
	case p == TF32 && !isCUDA(engine):
		return 0, fmt.Errorf("backend: precision %s needs CUDA", p)
	}
	fast := isCUDA(engine) && p != F32
	if p.Asked() == "" {
		fast = openedWithTF32
	}
	setTF32(engine, fast)
	return roundoff(engine), nil
}

// roundoff is Info's.
func roundoff(engine compute.Backend) float64 {
	if usesTF32(engine) {
		return tf32Roundoff
	}
	return singleRoundoff
}

// openedWithTF32 is what the XLA backend was opened with.
var openedWithTF32 bool

// IsExact tells whether a backend whose convolutions may be rounded to TF32 is asked for
// float32. go-xla says of products alone how precise they are to be: there convolutions
// are to be written as products.
func IsExact(engine compute.Backend) bool { return isCUDA(engine) && !usesTF32(engine) }
