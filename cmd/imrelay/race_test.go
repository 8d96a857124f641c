//go:build race

package main

import "time"

// readyWithin is how long a start may take. The race detector multiplies the start of a process; the promise of 2 s is
// for the program as it is released.
const readyWithin = 15 * time.Second
