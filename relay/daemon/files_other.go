//go:build !unix

package daemon

// openFiles is how many files the process may have open: where nobody says, as many as the ceiling wants.
func openFiles() uint64 { return 2 * mostConnections }
