package flowlog

import (
	"fmt"
	"log/slog"
	"os"
)

// maxCompleting is how many files may wait to be completed before the writer
// waits too. It takes a disk that cannot keep up, in which case the queue is
// the buffer.
const maxCompleting = 64

// A job is a file that is written and not complete.
type job struct {
	file *os.File
	hash uint32 // of its text
}

// A completer makes files durable and gives them their names. It has its own
// goroutine, since a sync takes as long as the disk likes.
type completer struct {
	sink  *Sink
	log   *slog.Logger
	queue chan job
}

func newCompleter(s *Sink, c *Config) *completer {
	return &completer{sink: s, log: c.Log, queue: make(chan job, maxCompleting)}
}

// run completes what comes until the queue is closed. It returns the first error
// of a file that could not be completed.
func (c *completer) run() (first error) {
	done := &c.sink.files
	for j := range c.queue {
		if c.sink.aborted.Load() {
			j.file.Close()
			continue
		}
		if err := finish(j.file, j.file.Name(), j.hash); err != nil {
			done.incomplete.Add(1)
			c.log.Error("flow-log file could not be completed; the next start finishes it", "path", j.file.Name(), "err", err)
			if first == nil {
				first = fmt.Errorf("flowlog: a file keeps the suffix %s; the next start finishes it: %w", partialSuffix, err)
			}
			continue
		}
		done.completed.Add(1)
	}
	return first
}
