//go:build !windows

package egress

import "syscall"

// The failures of a connection.
const (
	errNoNetwork = syscall.ENETUNREACH
	errPipe      = syscall.EPIPE
	errReset     = syscall.ECONNRESET
	errRefused   = syscall.ECONNREFUSED
	errNoRoute   = syscall.EHOSTUNREACH
)
