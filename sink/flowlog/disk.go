package flowlog

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// errGone says that a file was removed, replaced or changed by others.
var errGone = errors.New("file removed or changed while it was written")

func dropReason(err error) packet.Drop {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return packet.DropDiskFull
	}
	return packet.DropIO
}

// createFile makes a file that is not there, 0640 whatever the umask, and the
// directories above it.
func createFile(path string) (*os.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL | unix.O_NOFOLLOW
	f, err := os.OpenFile(path, flags, 0o640)
	if os.IsNotExist(err) {
		if err := makeDir(filepath.Dir(path)); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, flags, 0o640)
	}
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o640); err != nil {
		f.Close()
		os.Remove(path)
		return nil, err
	}
	return f, nil
}

// makeDir makes a directory and those above it, 0750 whatever the umask, and
// leaves alone what is there.
func makeDir(path string) error {
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
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	return makeDir(path)
}

// renameNew renames a file and replaces none.
func renameNew(from, to string) error {
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

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// finish makes a file that is written durable, closes it and gives it its name
// instead of partial. One of the same window and content may be there already, from another run: it
// stays, and the hash is counted up.
func finish(f *os.File, partial string, hash uint32) error {
	err := f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	for err = renameNew(partial, final(partial, hash)); os.IsExist(err); {
		hash++
		err = renameNew(partial, final(partial, hash))
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(partial))
}
