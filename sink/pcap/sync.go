package pcap

import (
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A syncJob is a file that was written since it was last synced.
type syncJob struct {
	path  string
	fresh bool // its directory entry was not synced either
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
	for _, s := range w.streams {
		if f := s.file; f != nil && f.dirty {
			jobs = append(jobs, syncJob{f.path, f.fresh})
			f.dirty, f.fresh = false, false
		}
	}
	if jobs != nil {
		w.sync <- jobs // the channel is empty, and only this goroutine sends
	}
}

// syncFiles syncs what it is given until jobs is closed.
func syncFiles(batches <-chan []syncJob, log *slog.Logger) {
	failing := false
	for jobs := range batches {
		dirs := make(map[string]struct{})
		var failed error
		for _, j := range jobs {
			if j.fresh {
				dirs[filepath.Dir(j.path)] = struct{}{}
			}
			// A file that is not there was completed, which syncs it, or removed.
			if err := syncFile(j.path); err != nil && !os.IsNotExist(err) {
				failed = err
			}
		}
		for dir := range dirs {
			if err := syncDir(dir); err != nil && !os.IsNotExist(err) {
				failed = err
			}
		}
		if failed != nil && !failing {
			log.Error("capture files could not be synced", "err", failed)
		}
		failing = failed != nil
	}
}

func syncFile(path string) error {
	fd, err := openFile(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := again(func() error { return unix.Fdatasync(fd) }); err != nil {
		return &os.PathError{Op: "fdatasync", Path: path, Err: err}
	}
	return nil
}
