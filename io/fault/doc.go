// Package fault makes work fail on purpose, so that tests can see what becomes
// of it. It does so in binaries built with the tag faults alone, as told by the
// environment variable DIFFSTITCH_FAULTS; in others its functions do nothing.
package fault
