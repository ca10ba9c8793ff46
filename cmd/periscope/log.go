package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
)

// newLog returns the log on w, the level, which a reload may change, and what
// its lines go through, which is to be flushed at the end.
func newLog(cfg config.Log, w io.Writer) (log *slog.Logger, level *slog.LevelVar, lines *lineWriter) {
	level = new(slog.LevelVar)
	setLevel(level, cfg)
	lines = newLineWriter(w)
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(lines, options)
	if cfg.Format == "json" {
		handler = slog.NewJSONHandler(lines, options)
	}
	return slog.New(handler), level, lines
}

// setLevel sets a level that config has validated.
func setLevel(level *slog.LevelVar, cfg config.Log) {
	var l slog.Level
	if l.UnmarshalText([]byte(cfg.Level)) == nil {
		level.Set(l)
	}
}

const (
	// maxLines bounds the log lines that wait: 1,024 of at most 16 KiB are
	// 16 MiB, of usual ones 200 KiB.
	maxLines   = 1024
	maxLineLen = 16 << 10

	// flushTimeout bounds how long the end waits for whoever reads the log. It
	// passes in flushParts: a halt of the whole process costs one of them at most.
	flushTimeout = 500 * time.Millisecond
	flushParts   = 10
)

// A lineWriter passes lines on without ever making the writer of one wait: a
// worker logs the first frame of a sender, and a terminal that is stopped or a
// pipe that nobody reads must not stop the capture. Lines there is no room for
// are dropped, and their number is told as soon as there is.
type lineWriter struct {
	lines chan []byte
	done  chan struct{}

	mu      sync.Mutex
	dropped int
	closed  bool
}

func newLineWriter(w io.Writer) *lineWriter {
	l := &lineWriter{lines: make(chan []byte, maxLines), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			w.Write(line)
		}
	}()
	return l
}

// Write takes one line, as slog's handlers write them. It never fails.
func (l *lineWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return len(line), nil
	}
	if l.dropped > 0 {
		note := fmt.Appendf(nil, "periscope: %d log lines were dropped: standard error was not read\n", l.dropped)
		if !l.offer(note) {
			l.dropped++
			return len(line), nil
		}
		l.dropped = 0
	}
	kept := append([]byte(nil), line[:min(len(line), maxLineLen)]...)
	if len(line) > maxLineLen {
		kept[maxLineLen-1] = '\n'
	}
	if !l.offer(kept) {
		l.dropped++
	}
	return len(line), nil
}

func (l *lineWriter) offer(line []byte) bool {
	select {
	case l.lines <- line:
		return true
	default:
		return false
	}
}

// flush writes out what waits, unless that takes too long, and ends the writer.
func (l *lineWriter) flush() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.lines)
	}
	l.mu.Unlock()
	for range flushParts {
		select {
		case <-l.done:
			return
		case <-time.After(flushTimeout / flushParts):
		}
	}
}
