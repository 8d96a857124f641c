//go:build unix

package egress

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// alive tells whether an unused connection is still open. A closed one has an end of stream to read, and one that has
// bytes to read (a time-out notice, a TLS alert) is of no use either. The socket does not block, so the look costs one
// system call. It sets the deadline of the call to come.
func alive(c net.Conn, end time.Time) bool {
	if c.SetDeadline(end) != nil {
		return false // closed by us; and a look needs a deadline that is not over
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		open = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
		return true
	})
	return err == nil && open
}
