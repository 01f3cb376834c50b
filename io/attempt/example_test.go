package attempt_test

import (
	"context"
	"errors"
	"fmt"

	"diffstitch/io/attempt"
)

// What fails once goes well at the second try.
func ExampleDo() {
	tries := 0
	result, err := attempt.Do(context.Background(), "stage", "element 1", func() (string, error) {
		if tries++; tries == 1 {
			return "", errors.New("no answer from the disk")
		}
		return "done", nil
	})
	fmt.Println(result, err, "after", tries, "tries")
	// Output: done <nil> after 2 tries
}
