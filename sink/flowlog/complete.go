package flowlog

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/periscope-collector/periscope/sink/dir"
)

const (
	// maxCompleting is how many files may wait to be completed before the
	// writer waits too. It takes a disk that cannot keep up, in which case the
	// queue is the buffer.
	maxCompleting = 64

	// maxFailed is how many files whose completion failed are tried again, with
	// 1 KiB each at most. Those beyond it are for the next start.
	maxFailed = 1024

	completeRetry = 10 * time.Second
)

// A job is a file that is written and not complete.
type job struct {
	file *os.File // nil from the first attempt on
	hash uint32   // of its text

	// From the first attempt on.
	path    string // while it is partial
	info    fs.FileInfo
	durable bool // what is in it
	named   bool // and not partial any more
}

// A completer makes files durable and gives them their names. It has its own
// goroutine, since a sync takes as long as the disk likes.
type completer struct {
	sink       *Sink
	log        *slog.Logger
	sync       func(*os.File) error
	compressor *compressor // nil before the first sync that failed
	queue      chan job
	failed     []job
	last       error // of the last attempt that failed
	lost       error // of the first file that was given up
}

func newCompleter(s *Sink, c *Config) *completer {
	return &completer{sink: s, log: c.Log, sync: c.sync, queue: make(chan job, maxCompleting)}
}

// run completes what comes until the queue is closed. It returns an error if
// there are files that could not be completed.
func (c *completer) run() error {
	tick := time.NewTicker(completeRetry)
	defer tick.Stop()
	for {
		select {
		case j, more := <-c.queue:
			if !more {
				return c.end()
			}
			c.complete(j)
		case <-tick.C:
			c.retry()
		}
	}
}

// retry tries again what failed.
func (c *completer) retry() {
	again := c.failed
	c.failed = nil
	for _, j := range again {
		c.complete(j)
	}
	c.sink.files.failing.Store(int64(len(c.failed)))
}

// end tries once more, and returns an error if that does not do.
func (c *completer) end() error {
	c.retry()
	n := len(c.failed)
	if n == 0 || c.sink.aborted.Load() {
		return c.lost
	}
	c.sink.files.failing.Store(0)
	c.sink.files.incomplete.Add(uint64(n))
	return fmt.Errorf("flowlog: %d files could not be completed, %s first; the next start finishes those with the suffix %s: %w",
		n, c.failed[0].path, partialSuffix, c.last)
}

func (c *completer) complete(j job) {
	first := j.file != nil
	if c.sink.aborted.Load() {
		if first {
			j.file.Close()
		}
		return
	}
	err := c.attempt(&j)
	if err == nil {
		c.sink.files.completed.Add(1)
		return
	}
	gone := os.IsNotExist(err) || errors.Is(err, dir.ErrGone) || errors.Is(err, errLost)
	again := !gone && len(c.failed) < maxFailed
	if again {
		c.last = err
		c.failed = append(c.failed, j)
		c.sink.files.failing.Store(int64(len(c.failed)))
	} else {
		c.sink.files.incomplete.Add(1)
		if c.lost == nil {
			c.lost = fmt.Errorf("flowlog: a file could not be completed; the next start finishes what there is of it: %w", err)
		}
	}
	if first || !again {
		c.log.Error("flow-log file could not be completed", "path", j.path, "again", again, "err", err)
	}
}

// attempt does what is left to do for the file.
func (c *completer) attempt(j *job) error {
	if !j.durable {
		if err := c.settle(j); err != nil {
			return err
		}
		j.durable = true
	}
	if !j.named {
		if err := name(j.path, j.hash); err != nil {
			return err
		}
		j.named = true
	}
	if err := dir.Sync(filepath.Dir(j.path)); !os.IsNotExist(err) {
		return err
	}
	return nil // the directory was removed with all its files
}

// settle makes what is in the file durable.
//
// The kernel tells of a write that failed once: the next sync of the same file
// succeeds, although the data is lost. So after a first attempt the lines go to
// another file, which takes the place of this one if they are all there.
func (c *completer) settle(j *job) (err error) {
	f := j.file
	if f != nil {
		j.file, j.path = nil, f.Name()
	} else if f, err = c.rewrite(j); err != nil {
		return err
	}
	j.info, err = f.Stat()
	if err == nil {
		err = c.sync(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// rewrite writes the job's file again, if it is still the one that was written.
func (c *completer) rewrite(j *job) (*os.File, error) {
	f, err := openRegular(j.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	switch fi, err := f.Stat(); {
	case err != nil:
		return nil, err
	case !os.SameFile(fi, j.info) || fi.Size() != j.info.Size():
		return nil, &os.PathError{Op: "complete", Path: j.path, Err: dir.ErrGone}
	}
	if c.compressor == nil {
		c.compressor = newCompressor(level)
	}
	return rewrite(f, j.hash, c.compressor)
}
