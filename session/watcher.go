package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

// MaxFile is the largest session file that is read, in bytes: 10,000 sessions
// with every key take some 12 MB. Reading one takes some twenty times its size
// for a moment.
const MaxFile = 16 << 20

// Load reads and parses a session file.
func Load(path string) ([]Entry, error) {
	data, _, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// read returns what a file holds, and the file's state before it was read.
func read(path string) ([]byte, os.FileInfo, error) {
	data, info, err := strictyaml.ReadFile("session file", path, MaxFile)
	if err != nil {
		return nil, nil, err
	}
	if len(data) > MaxFile {
		return nil, nil, fmt.Errorf("session file: %s is larger than %d MiB; split it over several collectors", path, MaxFile>>20)
	}
	if bytes.HasPrefix(data, []byte(`{"periscope":"session journal"`)) {
		return nil, nil, fmt.Errorf("session file: %s is a session journal; give it to replay --sessions, or name it in aws.journal", path)
	}
	return data, info, nil
}

// A Watcher keeps a table in step with a session file. The table stays as it
// is while the file is missing or has errors. The exported fields are set
// before the first call; the methods may be called from any goroutine.
type Watcher struct {
	Path     string
	Table    *Table
	Interval time.Duration // between two looks at the file; 0 means a second
	Log      *slog.Logger  // must not be nil

	mu      sync.Mutex
	info    os.FileInfo // of the content read last; nil if it could not be read
	settled bool        // a later change cannot have the same time
	content [sha256.Size]byte
	problem string // why it could not be read, as logged or returned last
	stale   error  // why the table is not as the file says
}

// Err returns why the table is not as the file says, or nil when it is. The
// table is then as an earlier content said.
func (w *Watcher) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stale
}

// settling is longer than any file system's time stamps are coarse: a file
// changed that shortly before it was read may change again unnoticed.
const settling = 2 * time.Second

// Reload reads the file whether or not it changed, and replaces the table's
// sessions. The error says what is wrong with the file, where, and that it is
// not in use.
func (w *Watcher) Reload() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	data, err := w.read()
	if err != nil {
		w.problem = err.Error()
		return err
	}
	return w.apply(data)
}

// Run looks at the file every Interval and reloads it when it changed, until
// ctx is done. What is wrong with the file is logged once per change; a file
// with errors is read again when it changes again.
func (w *Watcher) Run(ctx context.Context) {
	interval := w.Interval
	if interval == 0 {
		interval = time.Second
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.poll()
		}
	}
}

func (w *Watcher) poll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unchanged() {
		return
	}
	before, known := w.content, w.info != nil
	data, err := w.read()
	switch {
	case err != nil:
		if err.Error() != w.problem {
			w.problem = err.Error()
			w.Log.Error("the sessions in use stay", "error", err)
		}
	case known && before == w.content:
	default:
		if err := w.apply(data); err != nil {
			w.Log.Error("the sessions in use stay", "error", err)
		}
	}
}

// unchanged reports whether the file is certainly the one read last.
func (w *Watcher) unchanged() bool {
	if w.info == nil || !w.settled {
		return false
	}
	info, err := os.Stat(w.Path)
	return err == nil && os.SameFile(info, w.info) &&
		info.Size() == w.info.Size() && info.ModTime().Equal(w.info.ModTime())
}

// read reads the file and remembers what of.
func (w *Watcher) read() ([]byte, error) {
	now := time.Now()
	data, info, err := read(w.Path)
	w.info = info
	if err != nil {
		w.stale = err
		return nil, err
	}
	w.problem = ""
	w.settled = now.Sub(info.ModTime()) > settling
	w.content = sha256.Sum256(data)
	return data, nil
}

func (w *Watcher) apply(data []byte) error {
	entries, err := Parse(w.Path, data)
	if w.stale = err; err != nil {
		return err
	}
	change := w.Table.Replace(entries)
	w.Log.Info("sessions read", "file", w.Path, "sessions", len(entries),
		"kept", change.Kept, "new", change.Added, "ended", change.Ended)
	return nil
}
