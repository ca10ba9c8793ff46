package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

const (
	defaultSize = 64 << 20
	flags       = os.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK // opening a pipe would wait
)

// Open opens a journal, which it makes, 0640, if there is none, with the directories
// above. It is the only process to write it until Close.
func Open(path string, cfg Config) (*Journal, error) {
	if cfg.Size <= 0 {
		cfg.Size = defaultSize
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sync == nil {
		cfg.Sync = (*os.File).Sync
	}
	j := &Journal{
		path: path, limit: cfg.Size, full: cfg.Size, log: cfg.Log, now: cfg.Now, sync: cfg.Sync,
		seed: maphash.MakeSeed(), tenures: make(map[key]statement),
	}
	if err := j.open(); err != nil {
		j.Close()
		return nil, fmt.Errorf("session journal %s: %w", path, err)
	}
	j.tell()
	return j, nil
}

func (j *Journal) open() error {
	if err := dir.Make(filepath.Dir(j.path)); err != nil {
		return err
	}
	if err := j.lock(); err != nil {
		return err
	}
	if err := j.begin(); err != nil {
		return err
	}
	if err := j.index(); err != nil {
		return err
	}
	if err := os.Remove(j.path + newSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if j.size > j.full {
		return j.compact()
	}
	return nil
}

// lock opens the file and locks it. The kernel drops the lock with the process
// however it ends.
func (j *Journal) lock() error {
	for {
		f, err := os.OpenFile(j.path, flags|os.O_CREATE, 0o640)
		if err != nil {
			return err
		}
		j.file = f
		held, err := f.Stat()
		if err != nil {
			return err
		}
		if !held.Mode().IsRegular() {
			return errors.New("not a regular file")
		}
		if err := flock(f); err != nil {
			return err
		}
		// Who had it may have written it anew meanwhile.
		if there, err := os.Lstat(j.path); err == nil && os.SameFile(held, there) {
			return nil
		}
		f.Close()
	}
}

// flock locks a file until it is closed (flock(2)).
func flock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("another process writes it; stop that, or choose another file")
	}
	return err
}

// begin makes the file a journal if nothing, or part of a header, is in it.
func (j *Journal) begin() error {
	head := make([]byte, len(header))
	n, err := j.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	if n == len(header) || !bytes.HasPrefix(header, head[:n]) {
		return nil // index tells
	}
	if err := j.file.Chmod(0o640); err != nil {
		return err
	}
	if _, err := j.file.WriteAt(header, 0); err != nil {
		return err
	}
	if err := j.sync(j.file); err != nil {
		return err
	}
	return dir.Sync(filepath.Dir(j.path))
}

// maxTold is how many damaged lines are logged one by one.
const maxTold = 10

// index reads the file, and cuts off a torn last line.
func (j *Journal) index() error {
	lines := 0
	end, err := scan(io.NewSectionReader(j.file, 0, 1<<62), func(number int, at int64, text []byte, wrong error) error {
		lines = number
		if number == 1 {
			return checkHeader(text)
		}
		if wrong == nil {
			wrong = j.learn(at, text)
		}
		if wrong == nil {
			return nil
		}
		if j.damaged++; j.damaged <= maxTold {
			j.log.Warn("a line of the session journal is damaged and passed over", "file", j.path, "line", number, "error", wrong)
		}
		return nil
	})
	if err == nil && lines == 0 {
		err = checkHeader(nil)
	}
	if err != nil {
		return err
	}
	if j.damaged > maxTold {
		j.log.Warn("further lines of the session journal are damaged", "file", j.path, "lines", j.damaged-maxTold)
	}
	return j.cut(end)
}

// learn takes note of a line.
func (j *Journal) learn(at int64, text []byte) error {
	e, raw, err := parse(text)
	if err != nil {
		return err
	}
	j.tenures[keyOf(&e)] = statement{at: at, until: e.Until, sum: maphash.Bytes(j.seed, raw), length: int32(len(text))}
	return nil
}

// cut makes the file end where its last whole line does.
func (j *Journal) cut(end int64) error {
	j.size = end
	info, err := j.file.Stat()
	if err != nil || info.Size() == end {
		return err
	}
	j.log.Warn("the last line of the session journal is torn, and cut off", "file", j.path, "bytes", info.Size()-end)
	if err := j.file.Truncate(end); err != nil {
		return err
	}
	return j.sync(j.file)
}
