package egress

import "syscall"

// What Windows' sockets call the failures of a connection (winsock2.h); package syscall has its own inventions.
const (
	errNoNetwork = syscall.Errno(10051)
	errPipe      = syscall.Errno(10053)
	errReset     = syscall.Errno(10054)
	errRefused   = syscall.Errno(10061)
	errNoRoute   = syscall.Errno(10065)
)
