package tensorboard_test

import (
	"bytes"
	"fmt"

	"diffstitch/modelops/tensorboard"
)

// A run's event file: its head, then the scalars of each step.
func Example() {
	file := new(bytes.Buffer)
	if err := tensorboard.Begin(file); err != nil {
		fmt.Println(err)
	}
	head := file.Len()
	err := tensorboard.Write(file, 100, tensorboard.Scalar{Tag: "critic_loss", Value: 0.25})
	fmt.Println(head, "bytes, then", file.Len()-head, err)
	// Output: 40 bytes, then 49 <nil>
}
