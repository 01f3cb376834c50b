//go:build !faults

package session

// scarceMemory has devices lack no memory that they have.
func scarceMemory() (fail func(rows int) error) { return nil }
