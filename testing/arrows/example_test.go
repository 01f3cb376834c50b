package arrows_test

import (
	"fmt"
	"testing/fstest"

	"diffstitch/testing/arrows"
)

func ExampleCheck() {
	source := "package nets\n\nimport _ \"diffstitch/io/trajectory\"\n"
	violations, err := arrows.Check(fstest.MapFS{"modelops/nets/bad.go": {Data: []byte(source)}})
	fmt.Println(violations, err)
	// Output: [modelops/nets/bad.go imports "diffstitch/io/trajectory": modelops/nets imports only modelops/backend] <nil>
}
