package flowlog

import (
	"os"
	"syscall"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/dir"
)

const (
	// chunkText is how many bytes of lines a file gathers before they are
	// compressed and written. It is also the most that waits while the disk
	// is full, but for one line and statusText, so that 64 files take 20 MiB.
	chunkText = 256 << 10

	// statusText is room for NODATA and SKIPDATA lines behind a full chunk.
	statusText = 64 << 10

	// maxFile is the size from which a file is completed before its time, in
	// bytes: AWS's limit of old.
	maxFile = 75_000_000
)

// A file is one flow-log file, from its first line to its completion. It exists
// on disk from the first write on, and is a whole gzip file after each.
type file struct {
	slot slot
	used uint64 // for finding the least recently used

	// Lines that are not written yet.
	text     []byte
	lines    uint64
	statuses uint64 // of the lines, those of NODATA and SKIPDATA
	records  uint64
	since    time.Time // of the first of them

	// On disk. Valid iff disk is not nil.
	disk *os.File
	end  boundary
	torn bool // what follows end is not a trailer

	failed bool        // the last write failed
	reason packet.Drop // iff failed
	retry  time.Time   // iff failed: when to try again
}

// empty reports whether nothing waits to be written.
func (f *file) empty() bool { return len(f.text) == 0 && f.records == 0 }

// clear forgets the lines that wait, and keeps their memory.
func (f *file) clear() { f.text, f.lines, f.statuses, f.records = f.text[:0], 0, 0, 0 }

// write appends the lines that wait to the file on disk. It does it whole or,
// when it returns an error, not at all.
func (w *writer) write(f *file) error {
	if len(f.text) == 0 {
		return nil // a record may have no line
	}
	if f.disk != nil {
		if err := f.check(); err == dir.ErrGone {
			w.log.Warn("flow-log file was removed or changed while it was written; a new one is begun", "path", f.disk.Name())
			w.abandon(f)
		} else if err != nil {
			return err
		}
	}
	if f.disk == nil {
		if err := w.create(f); err != nil {
			return err
		}
	}
	var header []byte
	if f.end.offset == 0 {
		header = w.header
	}
	out, next := w.compressor.extend(f.end, header, f.text)
	if _, err := f.disk.WriteAt(out, f.end.offset); err != nil {
		w.repair(f)
		return err
	}
	w.counts.bytes += uint64(next.offset - f.end.offset)
	f.end, f.torn = next, false
	return nil
}

// create makes the file on disk, under a name that is not in use.
func (w *writer) create(f *file) error {
	if err := w.lock.Check(); err != nil {
		return err
	}
	path := w.namer.path(f.slot)
	for {
		w.number++
		disk, err := createFile(w.namer.partial(path, w.number))
		if err == nil {
			f.disk = disk
			w.counts.open++
			return nil
		}
		if !os.IsExist(err) {
			return err
		}
	}
}

// check reports dir.ErrGone unless the file is as it was left.
func (f *file) check() error {
	fi, err := f.disk.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(f.disk.Name())
	switch {
	case os.IsNotExist(err):
		return dir.ErrGone
	case err != nil:
		return err
	case !os.SameFile(fi, there), fi.Sys().(*syscall.Stat_t).Nlink == 0:
		return dir.ErrGone
	case !f.torn && fi.Size() != f.end.offset+trailerLen:
		return dir.ErrGone
	}
	return nil
}

// repair makes the file end at the boundary again, after a write that failed.
// One without a line is removed. If it fails the next write does it, or the next
// start.
func (w *writer) repair(f *file) {
	if f.end.offset == 0 {
		os.Remove(f.disk.Name())
		w.closeFile(f)
		return
	}
	f.torn = f.disk.Truncate(f.end.offset) != nil
	if _, err := f.disk.WriteAt(f.end.appendTrailer(nil), f.end.offset); err != nil {
		f.torn = true
	}
}

// abandon gives up what is on disk of a file: as it is, for the next start, or
// because others took it away.
func (w *writer) abandon(f *file) {
	w.sink.files.incomplete.Add(1)
	w.closeFile(f)
}

func (w *writer) closeFile(f *file) {
	f.disk.Close()
	f.disk, f.end, f.torn = nil, boundary{}, false
	w.counts.open--
}
