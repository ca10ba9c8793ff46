package pcap

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

// lookEvery is how often the name of an open file is looked at. Whether it was
// removed or cut is seen at every write.
const lookEvery = time.Second

const openFlags = unix.O_WRONLY | unix.O_APPEND

// prepare makes the stream's file ready to be written: there, open, and as the
// writer left it. A file that others removed or changed is given up, and the
// frames at hand begin a new one.
func (w *writer) prepare(s *stream) error {
	f := s.file
	w.uses++
	f.used = w.uses
	if !f.made() {
		return w.create(s)
	}
	err := w.reopen(f)
	if err == nil {
		err = f.check()
	}
	if err == nil && w.now.Sub(f.looked) >= lookEvery {
		f.looked = w.now
		err = f.checkName()
	}
	if err == nil {
		return nil
	}
	if !os.IsNotExist(err) && err != dir.ErrGone {
		return err
	}
	w.log.Warn("capture file was removed or changed while it was written; a new one is begun", "path", f.path)
	w.disown(f)
	gathered := f.size - f.written
	s.file = &file{
		size: fileHeader + gathered, packets: f.packets - f.stored, first: s.first, opened: w.clock, since: w.now,
		used: f.used,
	}
	return w.create(s)
}

// create makes the stream's file.
func (w *writer) create(s *stream) error {
	w.makeRoom()
	fd := -1
	path, number, err := w.claim(s.series, s.file, s.file.number, func(path string) (err error) {
		fd, err = openFile(path, openFlags|unix.O_CREAT|unix.O_EXCL)
		return err
	})
	if err != nil {
		return err
	}
	s.file.number = number
	return w.created(s.file, path, fd)
}

// claim finds a name in a series that is not in use, which take gives to the
// file, or reports that it exists after all. number is the one to try first; 0
// stands for the next.
func (w *writer) claim(sr *series, f *file, number uint64, take func(path string) error) (string, uint64, error) {
	if err := w.lock.Check(); err != nil {
		return "", 0, err
	}
	if err := sr.load(); err != nil {
		return "", 0, err
	}
	for made := false; ; {
		if number == 0 {
			number = sr.next()
		}
		name := filepath.Join(sr.dir, fileName(sr.name, f.first, number))
		if _, err := os.Lstat(name); err == nil {
			number = 0
			continue
		}
		path := name + partialSuffix
		err := take(path)
		switch {
		case err == nil:
			return path, number, nil
		case os.IsExist(err):
			number = 0
			continue
		case os.IsNotExist(err) && !made:
			made = true
			if err = dir.Make(sr.dir); err == nil {
				continue
			}
		}
		sr.giveBack(number)
		return "", 0, err
	}
}

func (w *writer) created(f *file, path string, fd int) error {
	var st unix.Stat_t
	err := unix.Fchmod(fd, 0o640) // whatever the umask
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		unix.Close(fd)
		os.Remove(path)
		return &os.PathError{Op: "create", Path: path, Err: err}
	}
	f.path, f.dev, f.ino, f.fresh, f.looked = path, st.Dev, st.Ino, true, w.now
	w.keepOpen(f, fd)
	return nil
}

// reopen opens a file that was closed because others were used more recently.
func (w *writer) reopen(f *file) error {
	if f.open {
		return nil
	}
	w.makeRoom()
	fd, err := openFile(f.path, openFlags)
	if errors.Is(err, unix.ENXIO) { // a FIFO that nobody reads
		return dir.ErrGone
	}
	if err != nil {
		return err
	}
	w.keepOpen(f, fd)
	return nil
}

// check reports dir.ErrGone unless the open file is the one that was created, has
// its name still, and is as long as it should be.
func (f *file) check() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return &os.PathError{Op: "fstat", Path: f.path, Err: err}
	}
	if st.Nlink == 0 || st.Size != f.written || st.Ino != f.ino || st.Dev != f.dev {
		return dir.ErrGone
	}
	return nil
}

// checkName reports dir.ErrGone unless the file's name leads to it: it was moved
// away otherwise, or its directory was.
func (f *file) checkName() error {
	var st unix.Stat_t
	if err := unix.Lstat(f.path, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: f.path, Err: err}
	}
	if st.Ino != f.ino || st.Dev != f.dev {
		return dir.ErrGone
	}
	return nil
}

func (w *writer) keepOpen(f *file, fd int) {
	f.fd, f.open = fd, true
	w.open = append(w.open, f)
	w.sink.gauges.open.Store(int64(len(w.open)))
}

// makeRoom closes the file that was least recently used if as many are open as
// may be. A search through all of them costs less than the system calls that
// come with it.
func (w *writer) makeRoom() {
	if len(w.open) < w.openMax {
		return
	}
	oldest := w.open[0]
	for _, f := range w.open[1:] {
		if f.used < oldest.used {
			oldest = f
		}
	}
	w.closeFile(oldest)
}

// closeFile closes the file's descriptor, if it is open.
func (w *writer) closeFile(f *file) {
	if !f.open {
		return
	}
	f.durable.closed(f.path, unix.Close(f.fd))
	f.open = false
	i := slices.Index(w.open, f)
	w.open = slices.Delete(w.open, i, i+1)
	w.sink.gauges.open.Store(int64(len(w.open)))
}

// abandon gives a file up: it keeps the suffix .partial and is for the next start
// to finish.
func (w *writer) abandon(f *file) {
	w.closeFile(f)
	w.sink.gauges.incomplete.Add(1)
}

// disown gives a file up that others removed or changed: it does not count among
// the files of this package any more.
func (w *writer) disown(f *file) {
	w.abandon(f)
	w.sink.gauges.unfinishedBytes.Add(-f.written)
}

// openFile is open(2) that follows no symbolic link and waits for nobody, where
// a FIFO has taken the place of a file; files it makes are 0640.
func openFile(path string, flags int) (int, error) {
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	for {
		fd, err := unix.Open(path, flags, 0o640)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// final returns the name that a .partial file gets when it is complete.
func final(partial string) string { return strings.TrimSuffix(partial, partialSuffix) }
