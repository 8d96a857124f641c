package bench

import (
	"os"
	"syscall"
)

// syncData makes what was written durable.
func syncData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }

// inMemory says that the folder is on a file system that keeps nothing.
func inMemory(dir string) bool {
	const tmpfs = 0x01021994
	var s syscall.Statfs_t
	return syscall.Statfs(dir, &s) == nil && s.Type == tmpfs
}
