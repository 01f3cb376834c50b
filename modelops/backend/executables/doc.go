// Package executables keeps what XLA compiles, across processes: a graph that was compiled
// on this machine before is loaded from a file. Compiling takes seconds to minutes at each
// start, loading tens of milliseconds.
//
// It works on any plugin of PJRT that can serialise executables, between the plugin and
// whoever compiles by it: Keep replaces the entry of Client_Compile in the plugin's table
// of functions.
package executables

import "sync/atomic"

var loaded, compiled atomic.Int64

// Counts tells how many executables this process has loaded from files, and how many it
// has compiled.
func Counts() (fromFiles, anew int64) { return loaded.Load(), compiled.Load() }
