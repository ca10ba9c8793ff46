package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/periscope-collector/periscope/internal/config"
)

// A stoppedWriter takes nothing until it is let go.
type stoppedWriter struct {
	letGo chan struct{}
	mu    sync.Mutex
	bytes.Buffer
}

func (w *stoppedWriter) Write(b []byte) (int, error) {
	<-w.letGo
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Buffer.Write(b)
}

// Whoever logs must not wait for whoever reads the log: workers do log.
func TestLogNeverWaitsForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stoppedWriter{letGo: make(chan struct{})}
		log, _, lines := newLog(config.Log{Level: "info", Format: "text"}, w)
		for i := range maxLines + 100 {
			log.Info("line", "n", i)
		}
		lines.flush() // gives up after flushTimeout
		close(w.letGo)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		// One line may be on its way beside those that wait.
		if n := strings.Count(w.String(), "\n"); n < maxLines || n > maxLines+1 {
			t.Errorf("%d lines came through, want the %d that fit", n, maxLines)
		}
	})
}

func TestLogTellsHowManyLinesItDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stoppedWriter{letGo: make(chan struct{})}
		log, _, lines := newLog(config.Log{Level: "info", Format: "text"}, w)
		log.Info("first")
		synctest.Wait() // the writer holds it
		for range maxLines + 7 {
			log.Info("more")
		}
		close(w.letGo)
		synctest.Wait()
		log.Info("last")
		lines.flush()
		if !strings.Contains(w.String(), "periscope: 7 log lines were dropped") || !strings.HasSuffix(w.String(), "msg=last\n") {
			t.Errorf("the log ends with %q", w.String()[max(0, w.Len()-200):])
		}
	})
}

func TestLogLevelsAndFormats(t *testing.T) {
	var out bytes.Buffer
	log, level, lines := newLog(config.Log{Level: "warn", Format: "json"}, &out)
	log.Info("hidden")
	setLevel(level, config.Log{Level: "debug"})
	log.Debug("shown")
	lines.flush()
	lines.flush()              // once more does nothing
	log.Error("after the end") // goes nowhere, and does no harm
	if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, `"msg":"shown"`) || strings.Contains(got, "after") {
		t.Errorf("%q", got)
	}
}

func TestLogCutsLongLines(t *testing.T) {
	var out bytes.Buffer
	l := newLineWriter(&out)
	io.WriteString(l, strings.Repeat("x", 2*maxLineLen)+"\n")
	l.flush()
	if out.Len() != maxLineLen || !strings.HasSuffix(out.String(), "x\n") {
		t.Errorf("%d bytes", out.Len())
	}
}
