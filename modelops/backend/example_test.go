package backend_test

import (
	"fmt"

	"diffstitch/modelops/backend"
)

// The pure-Go backend is always there.
func ExampleOpen() {
	engine, info, err := backend.Open(backend.Go)
	fmt.Println(info.Kind, backend.IsGo(engine), err)
	// Output: go true <nil>
}
