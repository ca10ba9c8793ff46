package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/periscope-collector/periscope/internal/pipeline"
)

// A screen is standard error with a line of progress at its end, if that is a
// terminal. What is written to it goes above that line. Any goroutine may
// write.
type screen struct {
	w io.Writer

	mu    sync.Mutex
	shown bool
}

const eraseLine = "\r\x1b[K"

// Write writes what is not the line of progress. That comes back with its next
// show.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	return s.w.Write(b)
}

// show replaces the line of progress.
func (s *screen) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprint(s.w, line)
	s.shown = true
}

// clear takes the line of progress away.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

// erase is clear for who holds mu.
func (s *screen) erase() {
	if s.shown {
		fmt.Fprint(s.w, eraseLine)
		s.shown = false
	}
}

// isTerminal reports whether somebody looks at it.
func (s *screen) isTerminal() bool {
	f, ok := s.w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// showProgress keeps the line of progress up to date until the function it
// returns is called. On anything but a terminal it writes nothing.
func showProgress(ctx context.Context, s *screen, r *pipeline.Replay) (done func()) {
	if !s.isTerminal() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer s.clear()
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		began := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				read, total := r.Progress()
				s.show(progressLine(now.Sub(began), read, total, r.Ledger().Received.Packets))
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// progressLine says how far a replay is: bytes, packets a second, time left.
func progressLine(since time.Duration, read, total int64, packets uint64) string {
	line := humanize.IBytes(uint64(read))
	if total > 0 {
		line += fmt.Sprintf(" of %s (%d %%)", humanize.IBytes(uint64(total)), 100*read/total)
	}
	line += fmt.Sprintf(", %s packets/s", humanize.Comma(int64(float64(packets)/since.Seconds())))
	if total > 0 && read > 0 {
		left := time.Duration(float64(since) * float64(total-read) / float64(read))
		line += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return line
}
