package dir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockName is the file that says who writes a directory. It stays there: if it
// were removed, two processes could hold locks on two files of that name.
const lockName = ".lock"

// A LockedError says that another process writes the directory.
type LockedError struct {
	Dir    string
	Holder string // what the holder wrote about itself; may be empty
}

func (e *LockedError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "another process"
	}
	return fmt.Sprintf("%s is being written by %s; stop it or choose another directory", e.Dir, holder)
}

// A Lock is an flock(2) on a directory's lock file, which the kernel drops
// with the process however it ends.
type Lock struct {
	dir  string
	file *os.File
}

// TakeLock locks a directory. The error is a *LockedError if another process has
// it.
func TakeLock(dir string) (*Lock, error) {
	f, err := openLock(dir)
	if err != nil {
		return nil, err
	}
	return &Lock{dir: dir, file: f}, nil
}

// Check takes the lock again if the file was removed or replaced, so that a
// directory that went away and came back has one writer still.
func (l *Lock) Check() error {
	held, err := l.file.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Lstat(l.file.Name()); err == nil && os.SameFile(held, there) {
		return nil
	}
	if err := Make(l.dir); err != nil {
		return err
	}
	f, err := openLock(l.dir)
	if err != nil {
		return err
	}
	l.Release()
	l.file = f
	return nil
}

// Release unlocks the directory.
func (l *Lock) Release() { l.file.Close() }

func openLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o640)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		b := make([]byte, 512)
		n, _ := f.ReadAt(b, 0)
		holder, _, _ := strings.Cut(string(b[:n]), "\n")
		return nil, &LockedError{Dir: dir, Holder: holder}
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(holderText()), 0)
	}
	// A full disk does not keep the lock from being held; it only has no name.
	if err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func holderText() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("pid %d on %s since %s %s\n", os.Getpid(), host,
		time.Now().UTC().Format(time.RFC3339), filepath.Base(os.Args[0]))
}
