package flowlog

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"
)

// A salvaged says what Open found of an earlier process that did not end as it
// should.
type salvaged struct {
	finished int // files that were whole and got their names
	cut      int // files written again up to their last whole line first
	removed  int // files without a line
	left     int // files that could not be finished and were left as they are
}

// newSuffix is of a file that is written to take the place of another.
const newSuffix = ".new"

// salvage finishes every .partial file of this package's naming below dir, which
// is locked. What it cannot finish, or look into, it logs and leaves; the error
// is for a dir that cannot be read.
func salvage(dir string, log *slog.Logger) (salvaged, error) {
	var sum salvaged
	c := newCompressor(level)
	root := filepath.Join(dir, "AWSLogs")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == root && os.IsNotExist(err):
			return nil
		case err != nil && path == root:
			return err
		case err != nil:
			log.Warn("directory of flow logs cannot be read; what an earlier process left there stays as it is", "path", path, "err", err)
			return nil
		case d.IsDir() || !partialName.MatchString(d.Name()):
			return nil
		}
		sum.file(path, c, log)
		return nil
	})
	if err != nil {
		return sum, fmt.Errorf("flowlog: look for files of an earlier process: %w", err)
	}
	if sum != (salvaged{}) {
		log.Info("finished flow-log files of an earlier process", "finished", sum.finished,
			"salvaged", sum.cut, "removed", sum.removed, "left", sum.left)
	}
	return sum, nil
}

func (sum *salvaged) file(path string, c *compressor, log *slog.Logger) {
	cut, removed, err := salvageFile(path, c)
	switch {
	case err != nil:
		sum.left++
		log.Error("flow-log file of an earlier process could not be finished and is left as it is", "path", path, "err", err)
	case removed:
		sum.removed++
	case cut != nil:
		sum.cut++
		log.Warn("flow-log file of an earlier process was cut; what could be read of it is kept", "path", path, "err", cut)
	default:
		sum.finished++
	}
}

// salvageFile completes the file, or removes it if there is no line. If it is
// not whole, as cut says, the whole lines there are take its place first.
func salvageFile(path string, c *compressor) (cut error, removed bool, err error) {
	os.Remove(path + newSuffix) // of a start that did not end either
	f, err := openRegular(path)
	if err != nil {
		return nil, false, err
	}
	var crc uint32
	var lines int
	cut, err = wholeLines(f, func(text []byte) error {
		crc = crc32.Update(crc, crc32.IEEETable, text)
		lines += bytes.Count(text, []byte{'\n'})
		return nil
	})
	if err != nil {
		f.Close()
		return nil, false, err
	}
	if lines == 0 || lines == 1 && strings.HasSuffix(path, ".log.gz"+partialSuffix) {
		f.Close()
		return nil, true, os.Remove(path)
	}
	if cut != nil {
		again, err := rewrite(f, crc, c)
		f.Close()
		if err != nil {
			return nil, false, err
		}
		f = again
	}
	return cut, false, finish(f, path, crc)
}

func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = &os.PathError{Op: "salvage", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// errLost says that lines were in a file and are not any more.
var errLost = errors.New("what was written cannot be read any more")

// rewrite replaces a file by one with its whole lines, whose CRC-32 is crc, and
// returns that.
func rewrite(f *os.File, crc uint32, c *compressor) (*os.File, error) {
	path := f.Name() + newSuffix
	again, err := createFile(path)
	if err != nil {
		return nil, err
	}
	var end boundary
	if _, err = f.Seek(0, io.SeekStart); err == nil {
		_, err = wholeLines(f, func(text []byte) error {
			out, next := c.extend(end, text)
			_, err := again.WriteAt(out, end.offset)
			end = next
			return err
		})
	}
	if err == nil && end.crc != crc {
		err = &os.PathError{Op: "rewrite", Path: f.Name(), Err: errLost}
	}
	if err == nil {
		err = again.Sync()
	}
	if err == nil {
		err = os.Rename(path, f.Name())
	}
	if err != nil {
		again.Close()
		os.Remove(path)
		return nil, err
	}
	return again, nil
}

// wholeLines gives f what can be read of a gzip file, in pieces of up to
// chunkText bytes that end with a line. cut says why there is no more, and is
// nil if the file is whole; err is f's, or for a file that cannot be read.
func wholeLines(from io.Reader, f func(text []byte) error) (cut, err error) {
	z, cut := gzip.NewReader(from)
	if cut != nil {
		return cut, unreadable(cut)
	}
	z.Multistream(false)
	text := make([]byte, 0, chunkText)
	for cut == nil {
		var n int
		n, cut = z.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if cut == nil && len(text) < cap(text) {
			continue
		}
		lines := bytes.LastIndexByte(text, '\n') + 1
		if lines > 0 {
			if err := f(text[:lines]); err != nil {
				return nil, err
			}
		} else if cut == nil {
			return fmt.Errorf("a line of more than %d bytes", chunkText), nil
		}
		text = text[:copy(text, text[lines:])]
	}
	switch {
	case cut != io.EOF:
		return cut, unreadable(cut)
	case len(text) > 0:
		return errors.New("the last line has no end"), nil
	}
	return nil, nil
}

// unreadable returns err if the file could not be read, and nil if it was and
// what it holds is to blame.
func unreadable(err error) error {
	if pathErr := new(os.PathError); errors.As(err, &pathErr) {
		return err
	}
	return nil
}
