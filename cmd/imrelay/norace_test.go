//go:build !race

package main

import "time"

// readyWithin is how long a start may take.
const readyWithin = 2 * time.Second
