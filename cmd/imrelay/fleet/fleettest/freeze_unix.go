//go:build unix

package fleettest

import (
	"errors"
	"syscall"
)

// Freeze stops the relay without ending it, as a machine that swaps or a paused virtual one would. When it returns the
// relay does nothing more.
func (r *Relay) Freeze() {
	r.tb.Helper()
	r.signal(syscall.SIGSTOP)
	for {
		var s syscall.WaitStatus
		_, err := syscall.Wait4(r.cmd.Process.Pid, &s, syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || !s.Stopped() {
			r.tb.Fatalf("relay %q does not stop: %v", r.Name, err)
		}
		return
	}
}

// Thaw lets a frozen relay go on.
func (r *Relay) Thaw() { r.signal(syscall.SIGCONT) }

func (r *Relay) signal(s syscall.Signal) {
	r.tb.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.tb.Fatalf("signal relay %q: %v", r.Name, err)
	}
}
