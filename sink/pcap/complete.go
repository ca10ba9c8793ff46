package pcap

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

const (
	// maxCompleting is how many files may wait to be completed before the
	// writer waits too: at most 1,024 jobs of a path and 40 bytes, some 256
	// KiB. It takes 1,024 sessions that rotate at once, or a disk that cannot
	// keep up, in which case the chunks are the buffer.
	maxCompleting = 1024

	// maxFailed is how many files whose completion failed are tried again.
	// Those beyond it are for the next start.
	maxFailed = 1024

	completeRetry = 10 * time.Second

	// completeBatch is how many files share one sync of their directory.
	completeBatch = 64

	// completeAtOnce is how many files of a batch are synced at the same time.
	// The file system then commits them together.
	completeAtOnce = 8
)

// A job is a file that is written and closed, and not complete.
type job struct {
	partial  string
	dev, ino uint64
	size     int64
	durable  *durable
}

// A completer makes files durable and gives them their names. It has its own
// goroutine, since a sync takes as long as the disk likes.
type completer struct {
	sink      *Sink
	log       *slog.Logger
	fdatasync func(fd int) error
	keeper    *retainer // nil in replay
	queue     chan job
	failed    []job
	lost      error // of the first file that is not durable
	failing   bool  // the last completion failed
}

func newCompleter(s *Sink, c *Config, keeper *retainer) *completer {
	return &completer{sink: s, log: c.Log, fdatasync: c.fdatasync, keeper: keeper, queue: make(chan job, maxCompleting)}
}

// run completes what comes until the queue is closed. It returns an error if
// files are left that could not be completed.
func (c *completer) run() error {
	tick := time.NewTicker(completeRetry)
	defer tick.Stop()
	batch := make([]job, 0, completeBatch)
	for {
		select {
		case j, more := <-c.queue:
			if !more {
				return c.last()
			}
			batch = c.fill(append(batch[:0], j))
			c.complete(batch)
		case <-tick.C:
			c.retry()
		}
	}
}

// fill adds what is in the queue already.
func (c *completer) fill(batch []job) []job {
	for len(batch) < completeBatch {
		select {
		case j, more := <-c.queue:
			if !more {
				return batch
			}
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

func (c *completer) retry() {
	again := c.failed
	c.failed = nil
	for len(again) > 0 {
		n := min(len(again), completeBatch)
		c.complete(again[:n])
		again = again[n:]
	}
}

func (c *completer) last() error {
	c.retry()
	if n := len(c.failed); n > 0 {
		return fmt.Errorf("pcap: %d files could not be completed and keep the suffix %s, %s first; the next start finishes them",
			n, partialSuffix, c.failed[0].partial)
	}
	return c.lost
}

// complete makes the files durable before they get their names, and then the
// names.
func (c *completer) complete(batch []job) {
	dirs := make(map[string]struct{}, 1)
	for i, r := range c.settle(batch) {
		j, err := batch[i], r.err
		if c.sink.aborted.Load() {
			return
		}
		if err == nil {
			err = c.rename(j, r.modified)
		}
		if err != nil {
			c.fail(j, err)
			continue
		}
		dirs[filepath.Dir(j.partial)] = struct{}{}
		c.failing = false
		c.sink.gauges.completing.Add(-1)
		c.sink.gauges.completed.Add(1)
	}
	for path := range dirs {
		// One that is not there was removed by retention with all its files.
		if err := dir.Sync(path); err != nil && !os.IsNotExist(err) {
			c.log.Error("directory of complete files could not be synced", "err", err)
		}
	}
}

// A settled says what became of a file that was to be made durable.
type settled struct {
	modified int64
	err      error
}

// settle makes the files durable, until Close has run out of time.
func (c *completer) settle(batch []job) []settled {
	results := make([]settled, len(batch))
	var wg sync.WaitGroup
	for first := range min(len(batch), completeAtOnce) {
		wg.Go(func() {
			for i := first; i < len(batch) && !c.sink.aborted.Load(); i += completeAtOnce {
				results[i].modified, results[i].err = batch[i].settle(c.fdatasync)
			}
		})
	}
	wg.Wait()
	return results
}

// rename gives the file its name and tells retention, at once.
func (c *completer) rename(j job, modified int64) error {
	rename := func() error { return dir.Rename(j.partial, final(j.partial)) }
	if c.keeper == nil {
		return rename()
	}
	return c.keeper.add(kept{path: final(j.partial), size: j.size, completed: modified}, rename)
}

func (c *completer) fail(j job, err error) {
	g := &c.sink.gauges
	gone := errors.Is(err, dir.ErrGone) || os.IsNotExist(err)
	lost := errors.Is(err, errNotDurable)
	again := !gone && !lost && !os.IsExist(err) && len(c.failed) < maxFailed
	if again {
		c.failed = append(c.failed, j)
	} else {
		g.completing.Add(-1)
		g.incomplete.Add(1)
	}
	if gone {
		g.unfinishedBytes.Add(-j.size)
	}
	if lost && c.lost == nil {
		c.lost = fmt.Errorf("pcap: a file keeps the suffix %s; the next start finishes what there is of it: %w", partialSuffix, err)
	}
	if !c.failing || lost {
		c.failing = !lost
		c.log.Error("capture file could not be completed", "path", j.partial, "again", again, "err", err)
	}
}

// settle makes the file durable, if it is still the one that was written, so
// that it may get its name. Its time of modification becomes that of completion,
// which is what retention by age goes by; it returns it, in nanoseconds since
// 1970 UTC.
func (j job) settle(fdatasync func(fd int) error) (modified int64, err error) {
	fd, err := openFile(j.partial, unix.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, &os.PathError{Op: "fstat", Path: j.partial, Err: err}
	}
	if st.Dev != j.dev || st.Ino != j.ino || st.Size != j.size {
		return 0, &os.PathError{Op: "complete", Path: j.partial, Err: dir.ErrGone}
	}
	now := time.Now()
	times := []unix.Timespec{unix.NsecToTimespec(now.UnixNano()), unix.NsecToTimespec(now.UnixNano())}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, j.partial, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0, &os.PathError{Op: "utimensat", Path: j.partial, Err: err}
	}
	if err := j.durable.sync(fd, j.partial, fdatasync); err != nil {
		return 0, err
	}
	return now.UnixNano(), nil
}

// again repeats a system call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
