// Package dir is what sinks need of a directory that one process writes: the
// lock on it, directories and names made without replacing anything, and what a
// failure to write means for the ledger.
//
// It owns the lock file; the other files are their sink's.
package dir

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// ErrGone says that a file was removed, replaced or changed by others.
var ErrGone = errors.New("file removed or changed while it was written")

// DropReason returns the reason for which a sink drops what it could not write.
func DropReason(err error) packet.Drop {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return packet.DropDiskFull
	}
	return packet.DropIO
}

// Make makes a directory and those above it, 0750 whatever the umask, and leaves
// alone what is there.
func Make(path string) error {
	err := os.Mkdir(path, 0o750)
	switch {
	case err == nil:
		return os.Chmod(path, 0o750)
	case os.IsExist(err):
		if fi, statErr := os.Stat(path); statErr == nil && fi.IsDir() {
			return nil
		}
		return err
	case !os.IsNotExist(err):
		return err
	}
	// The one above may be there, and still nothing can be made in it: a
	// directory that was removed, or one that the kernel makes up.
	above := filepath.Dir(path)
	if above == path {
		return err
	}
	if err := Make(above); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o750); err != nil {
		return err
	}
	return os.Chmod(path, 0o750)
}

// Rename renames a file and replaces none: the error is then one of
// os.IsExist.
func Rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		// The file system does not know the flag. A link does not replace
		// either.
		if err = unix.Link(from, to); err == nil {
			err = unix.Unlink(from)
		}
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Sync makes the names in a directory durable.
func Sync(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
