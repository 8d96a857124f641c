//go:build !unix

package fleettest

// Freeze ends the test: processes cannot be frozen here.
func (r *Relay) Freeze() { r.tb.Helper(); r.tb.Fatal("processes cannot be frozen here") }

// Thaw ends the test, as Freeze does.
func (r *Relay) Thaw() { r.Freeze() }
