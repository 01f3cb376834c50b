//go:build faults

package session

import (
	"fmt"
	"os"
	"strconv"
)

// MemoryVariable names the environment variable that says how many windows a
// device has memory for. Binaries built with the tag faults alone heed it.
const MemoryVariable = "DIFFSTITCH_FAULTS_WINDOWS"

// scarceMemory has every device lack the memory for more windows than the
// environment says.
func scarceMemory() (fail func(rows int) error) {
	text := os.Getenv(MemoryVariable)
	if text == "" {
		return nil
	}
	most, err := strconv.Atoi(text)
	return func(rows int) error {
		if err != nil {
			return fmt.Errorf("session: %s: %w", MemoryVariable, err)
		}
		if rows > most {
			return ErrOutOfMemory
		}
		return nil
	}
}
