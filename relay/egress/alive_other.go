//go:build !unix

package egress

import (
	"errors"
	"net"
	"os"
	"time"
)

// glance is how long an open connection is looked at. It is paid by every call on a kept connection, so it is short.
const glance = time.Millisecond

// alive tells whether an unused connection is still open. A closed one has an end of stream to read, and one that has
// bytes to read (a time-out notice, a TLS alert) is of no use either. It sets the deadline of the call to come.
func alive(c net.Conn, end time.Time) bool {
	if c.SetReadDeadline(time.Now().Add(glance)) != nil {
		return false
	}
	var b [1]byte
	_, err := c.Read(b[:])
	return errors.Is(err, os.ErrDeadlineExceeded) && c.SetDeadline(end) == nil
}
