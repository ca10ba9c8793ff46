package session_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/session"
)

const (
	oneA = "sessions: [{vni: 1, name: a}]\n"
	oneB = "sessions: [{vni: 1, name: b}]\n"
	half = "sessions: [{vni: 1,\n"
)

// A watched file, with the clock of a synctest bubble.
type watched struct {
	*testing.T
	*session.Watcher
	log    journal
	writes time.Duration
}

func watch(t *testing.T) *watched {
	w := &watched{T: t}
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	w.Watcher = &session.Watcher{
		Path:  filepath.Join(t.TempDir(), "sessions.yaml"),
		Table: newTable(t, session.Config{Unknown: session.Drop}),
		Log:   log,
	}
	return w
}

// write puts a new file in place, with a time of its own that is long past.
func (w *watched) write(content string) {
	w.Helper()
	next := w.Path + ".next"
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
	w.writes += time.Second
	w.touch(next, time.Now().Add(w.writes-time.Hour))
	if err := os.Rename(next, w.Path); err != nil {
		w.Fatal(err)
	}
}

// overwrite changes the file in place.
func (w *watched) overwrite(content string) {
	w.Helper()
	if err := os.WriteFile(w.Path, []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *watched) touch(path string, at time.Time) {
	w.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		w.Fatal(err)
	}
}

// start runs the watcher until the test ends.
func (w *watched) start() {
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Watcher.Run(ctx) }()
	w.Cleanup(func() { cancel(); <-done })
}

// after lets three intervals pass and checks the names of the sessions there
// are then, and how often the words were logged in all.
func (w *watched) after(what string, want []string, words string, times int) {
	w.Helper()
	time.Sleep(3 * time.Second)
	synctest.Wait()
	if got := names(w.Table.Sessions()); !slices.Equal(got, want) {
		w.Errorf("%s: sessions %v, want %v", what, got, want)
	}
	if n := strings.Count(w.log.String(), words); n != times {
		w.Errorf("%s: %q is logged %d times, want %d:\n%s", what, words, n, times, &w.log)
	}
}

func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		w.write(oneA)
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		w.start()
		a, b := []string{"a"}, []string{"b"}
		w.after("no change", a, "sessions read", 1)
		w.write(oneB)
		w.after("a change", b, "sessions read", 2)
		w.touch(w.Path, time.Now().Add(-time.Minute))
		w.after("a new time alone", b, "sessions read", 2)
		w.write(half)
		w.after("half a file", b, "sessions.yaml:2:1: ", 1)
		w.write(half + "\n")
		w.after("another half", b, "sessions.yaml:3:1: ", 1)
		w.write(oneA)
		w.after("the whole", a, "sessions read", 3)
		if err := os.Remove(w.Path); err != nil {
			t.Fatal(err)
		}
		w.after("removed", a, "no such file", 1)
		w.write(oneA)
		w.after("back again", a, "level=ERROR", 3)
		if err := os.Remove(w.Path); err != nil {
			t.Fatal(err)
		}
		w.after("removed again", a, "no such file", 2)
		w.write("")
		w.after("emptied", a, "sessions: [] for none", 1)
		w.write("sessions: []")
		w.after("none", nil, "level=ERROR", 5)
	})
}

// Each of time, size and inode tells a change by itself.
func TestWatcherStat(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *watched, at time.Time)
	}{
		{"time", func(w *watched, at time.Time) {
			w.overwrite(oneB)
			w.touch(w.Path, at.Add(time.Nanosecond))
		}},
		{"size", func(w *watched, at time.Time) {
			w.overwrite(oneB + "\n")
			w.touch(w.Path, at)
		}},
		{"inode", func(w *watched, at time.Time) {
			w.write(oneB)
			w.touch(w.Path, at)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(t)
				w.write(oneA)
				at := time.Now().Add(-time.Hour)
				w.touch(w.Path, at)
				if err := w.Reload(); err != nil {
					t.Fatal(err)
				}
				w.start()
				tt.change(w, at)
				w.after("changed", []string{"b"}, "sessions read", 2)
			})
		})
	}
}

// A file that was changed right before it was read may change again without
// its time, size or inode telling.
func TestWatcherSameStat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		now := time.Now()
		w.write(oneA)
		w.touch(w.Path, now)
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		w.overwrite(oneB)
		w.touch(w.Path, now)
		w.start()
		w.after("same time, size and inode", []string{"b"}, "sessions read", 2)
		w.after("settled", []string{"b"}, "sessions read", 2)
	})
}

func TestWatcherReadsAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		w.start()
		w.after("no file yet", nil, "no such file", 1)
		w.write(oneA)
		w.after("a file", []string{"a"}, "sessions read", 1)
	})
}

func TestReload(t *testing.T) {
	w := watch(t)
	steps := []struct {
		name    string
		prepare func()
		want    string // in the error
	}{
		{"no file", func() {}, "no such file"},
		{"a file", func() { w.write(oneA) }, ""},
		{"the same file", func() {}, ""},
		{"half a file", func() { w.write(half) }, "sessions.yaml:2:1: "},
		{"the same half", func() {}, "sessions.yaml:2:1: "},
		{"too large", func() { w.write(strings.Repeat("#", session.MaxFile+1)) }, "is larger than 16 MiB"},
		{"a pipe that nobody writes", func() {
			if err := os.Remove(w.Path); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(w.Path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file"},
	}
	for i, tt := range steps {
		tt.prepare()
		err := w.Reload()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if got := names(w.Table.Sessions()); i > 0 && !slices.Equal(got, []string{"a"}) {
			t.Errorf("%s: sessions %v", tt.name, got)
		}
	}
	if strings.Contains(w.log.String(), "ERROR") {
		t.Errorf("errors are returned, not logged:\n%s", &w.log)
	}
}

// Err says whether the table is as the file says, whoever read it last.
func TestWatcherErr(t *testing.T) {
	w := watch(t)
	for _, step := range []struct {
		content string // "" removes the file
		ok      bool
	}{
		{oneA, true}, {half, false}, {half, false}, {oneA, true}, {"", false}, {oneA, true}, {oneB, true},
	} {
		if step.content == "" {
			os.Remove(w.Path)
		} else {
			w.write(step.content)
		}
		w.Reload()
		if err := w.Err(); (err == nil) != step.ok {
			t.Errorf("with %q: %v", step.content, err)
		}
	}
}

func TestLoad(t *testing.T) {
	w := watch(t)
	if _, err := session.Load(w.Path); !strings.Contains(err.Error(), w.Path) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	w.write(strings.Repeat("#", session.MaxFile-len(oneA)-1) + "\n" + oneA) // the largest
	if entries, err := session.Load(w.Path); err != nil || len(entries) != 1 || entries[0].Name != "a" {
		t.Errorf("got %v, %v", entries, err)
	}
}
