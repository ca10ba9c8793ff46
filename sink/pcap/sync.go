package pcap

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

// A syncJob is a file that was written since it was last synced.
type syncJob struct {
	path    string
	fresh   bool // its directory entry was not synced either
	durable *durable
}

// startSync hands the files that were written to the goroutine that syncs them,
// when it is time and that goroutine is not still at the last ones. It goes by
// path, so that the files may be closed, completed and renamed meanwhile.
func (w *writer) startSync() {
	if w.sync == nil || w.now.Sub(w.synced) < w.syncEvery || len(w.sync) > 0 {
		return
	}
	w.synced = w.now
	var jobs []syncJob
	for _, m := range w.members {
		if f := m.stream.file; f != nil && f.dirty {
			jobs = append(jobs, syncJob{f.path, f.fresh, &f.durable})
			f.dirty, f.fresh = false, false
		}
	}
	if jobs != nil {
		w.sync <- jobs // the channel is empty, and only this goroutine sends
	}
}

// syncFiles syncs what it is given until jobs is closed.
func syncFiles(batches <-chan []syncJob, fdatasync func(fd int) error, log *slog.Logger) {
	failing := false
	for jobs := range batches {
		dirs := make(map[string]struct{})
		var failed error
		for _, j := range jobs {
			if j.fresh {
				dirs[filepath.Dir(j.path)] = struct{}{}
			}
			// A file that is not there was completed, which syncs it, or removed.
			if err := j.run(fdatasync); err != nil && !os.IsNotExist(err) {
				failed = err
			}
		}
		for path := range dirs {
			if err := dir.Sync(path); err != nil && !os.IsNotExist(err) {
				failed = err
			}
		}
		if failed != nil && !failing {
			log.Error("capture files could not be synced", "err", failed)
		}
		failing = failed != nil
	}
}

func (j syncJob) run(fdatasync func(fd int) error) error {
	fd, err := openFile(j.path, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return j.durable.sync(fd, j.path, fdatasync)
}

// errNotDurable says that the kernel could not write what it had taken.
var errNotDurable = errors.New("what was written may be lost")

// A durable makes one file durable, for all goroutines that do so. The kernel
// tells of a write that failed once: the next sync of the same file succeeds,
// although the data is lost. So one failure is for good.
type durable struct {
	mu  sync.Mutex // held during a sync, or another could succeed before this one has failed
	err error
}

// sync is fdatasync(2) of an open file.
func (d *durable) sync(fd int, path string, fdatasync func(fd int) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.note("fdatasync", path, again(func() error { return fdatasync(fd) }))
	}
	return d.err
}

// closed takes what close(2) returned, which on a network file system is also
// how the kernel tells of a write that failed.
func (d *durable) closed(path string, err error) {
	if err == nil || err == unix.EINTR {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("close", path, err)
}

func (d *durable) note(op, path string, err error) {
	if err != nil {
		d.err = fmt.Errorf("%w: %w", errNotDurable, &os.PathError{Op: op, Path: path, Err: err})
	}
}
