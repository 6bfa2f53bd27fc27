package onegate

import (
	"os"
	"syscall"
	"unsafe"
)

// isTerminal tells whether a file is a terminal.
func isTerminal(f *os.File) bool {
	var t syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&t)))
	return errno == 0
}

// statfs returns the size of the file system at path and what is free of it, in
// its blocks.
func statfs(path string) (total, free uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return s.Blocks, min(s.Bfree, s.Blocks), nil
}
