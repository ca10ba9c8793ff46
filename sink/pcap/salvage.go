package pcap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

// A salvaged says what Open found of an earlier process that did not end as it
// should.
type salvaged struct {
	finished int   // files that were whole and got their names
	cut      int   // files cut back to their last whole record first
	cutBytes int64 // from those
	removed  int   // files without a record
	left     int   // files that could not be finished and were left as they are
}

// salvage finishes every .partial file of this package's naming in dir, which
// is locked. It reads each once, in pieces. What it cannot finish, or look into,
// it logs and leaves; the error is for a dir that cannot be read.
func salvage(dir string, log *slog.Logger) (salvaged, error) {
	var sum salvaged
	err := walk(dir, func(session, name string) {
		_, _, rest, ok := parseName(session, name)
		if !ok || rest != suffix+partialSuffix {
			return
		}
		path := filepath.Join(dir, session, name)
		cut, removed, err := salvageFile(path)
		switch {
		case err != nil:
			sum.left++
			log.Error("capture file of an earlier process could not be finished and is left as it is", "path", path, "err", err)
		case removed:
			sum.removed++
		case cut > 0:
			sum.cut++
			sum.cutBytes += cut
		default:
			sum.finished++
		}
	}, func(path string, err error) {
		log.Warn("directory below the captures cannot be read; what an earlier process left there stays as it is", "path", path, "err", err)
	})
	if err != nil {
		return sum, fmt.Errorf("pcap: look for files of an earlier process: %w", err)
	}
	if sum != (salvaged{}) {
		log.Info("finished capture files of an earlier process", "finished", sum.finished,
			"salvaged", sum.cut, "cut_bytes", sum.cutBytes, "removed", sum.removed, "left", sum.left)
	}
	return sum, nil
}

// salvageFile cuts what follows the last whole record off, and completes the
// file, or removes it if there is no record.
func salvageFile(path string) (cut int64, removed bool, err error) {
	fd, err := openFile(path, unix.O_RDWR)
	if err != nil {
		return 0, false, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, false, &os.PathError{Op: "fstat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, false, &os.PathError{Op: "salvage", Path: path, Err: fmt.Errorf("not a regular file")}
	}
	whole, err := wholeBytes(f)
	if err != nil {
		return 0, false, &os.PathError{Op: "salvage", Path: path, Err: err}
	}
	if whole <= fileHeader {
		return 0, true, os.Remove(path)
	}
	if whole < st.Size {
		if err := f.Truncate(whole); err != nil {
			return 0, false, err
		}
	}
	j := job{path, st.Dev, st.Ino, whole, new(durable)}
	if _, err := j.settle(unix.Fdatasync); err != nil {
		return 0, false, err
	}
	if err := dir.Rename(path, final(path)); err != nil {
		return 0, false, err
	}
	return st.Size - whole, false, dir.Sync(filepath.Dir(path))
}

// wholeBytes returns how many bytes the file header and the whole records
// behind it take. A file cut within the header has none; one with another
// header is an error, since it is not this package's.
func wholeBytes(r io.Reader) (int64, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	want := newFileHeader(0)
	header, err := b.Peek(fileHeader)
	if err == io.EOF {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(header[:16], want[:16]) || binary.LittleEndian.Uint32(header[20:]) != linkEthernet {
		return 0, fmt.Errorf("the file header is not one that this program writes")
	}
	b.Discard(fileHeader)
	whole := int64(fileHeader)
	for {
		header, err := b.Peek(recordHeader)
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		length, ok := recordLength(header)
		if !ok {
			return whole, nil
		}
		if _, err := b.Discard(length); err == io.EOF {
			return whole, nil
		} else if err != nil {
			return 0, err
		}
		whole += int64(length)
	}
}

// walk calls visit for every entry of every directory in dir, a few at a time,
// and unread for each of those directories that cannot be read: one that is
// somebody else's, such as lost+found, is no reason to stop. One that went away
// is passed over. The error is for dir itself.
func walk(dir string, visit func(session, name string), unread func(path string, err error)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		fi, err := os.Stat(path)
		if err == nil && fi.IsDir() {
			err = readNames(path, func(name string) { visit(e.Name(), name) })
		}
		if err != nil && !os.IsNotExist(err) {
			unread(path, err)
		}
	}
	return nil
}

func readNames(dir string, visit func(name string)) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			visit(name)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
