//go:build unix

package fleettest

import "syscall"

// Freeze stops the relay without ending it, as a machine that swaps or a paused virtual one would.
func (r *Relay) Freeze() { r.signal(syscall.SIGSTOP) }

// Thaw lets a frozen relay go on.
func (r *Relay) Thaw() { r.signal(syscall.SIGCONT) }

func (r *Relay) signal(s syscall.Signal) {
	r.tb.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.tb.Fatalf("signal relay %q: %v", r.Name, err)
	}
}
