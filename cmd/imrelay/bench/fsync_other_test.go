//go:build !linux

package bench

import "os"

// syncData makes what was written durable.
func syncData(f *os.File) error { return f.Sync() }

// inMemory says that the folder is on a file system that keeps nothing, as far as is known.
func inMemory(string) bool { return false }
