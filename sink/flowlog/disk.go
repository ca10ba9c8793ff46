package flowlog

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

// createFile makes a file that is not there, 0640 whatever the umask, and the
// directories above it.
func createFile(path string) (*os.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL | unix.O_NOFOLLOW
	f, err := os.OpenFile(path, flags, 0o640)
	if os.IsNotExist(err) {
		if err := dir.Make(filepath.Dir(path)); err != nil {
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

// finish makes a file that is written durable, closes it and gives it its name
// instead of partial.
func finish(f *os.File, partial string, hash uint32) error {
	err := f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = name(partial, hash)
	}
	if err != nil {
		return err
	}
	return dir.Sync(filepath.Dir(partial))
}

// name gives a file its name instead of partial. One of the same window and
// content may be there already, from another run: it stays, and the hash is
// counted up.
func name(partial string, hash uint32) error {
	err := dir.Rename(partial, final(partial, hash))
	for os.IsExist(err) {
		hash++
		err = dir.Rename(partial, final(partial, hash))
	}
	return err
}
