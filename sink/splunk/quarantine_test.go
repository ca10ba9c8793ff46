package splunk

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/dir"
)

// aside is a quarantine with what it needs of a sink; its clock stands still.
func aside(t *testing.T) (*quarantine, *bytes.Buffer) {
	t.Helper()
	c := newConfig(t, "http://127.0.0.1:1")
	c.Dir = t.TempDir()
	var log bytes.Buffer
	c.Log = logTo(&log)
	c.now = func() time.Time { return time.Date(2026, 11, 21, 10, 0, 0, 5000, time.FixedZone("", 3600)) }
	if err := c.setDefaults(); err != nil {
		t.Fatal(err)
	}
	s := &Sink{cfg: c, lastWas: make(map[string]time.Time)}
	return &quarantine{path: filepath.Join(c.Dir, QuarantineName), sink: s, named: dir.Sync}, &log
}

func refusals(n int) (list []refusal) {
	for i := range n {
		list = append(list, refusal{event: i, code: 6, text: "invalid data format", bytes: []byte(`{"event":{"n":1},"time":1.5}`)})
	}
	return list
}

func TestQuarantineLine(t *testing.T) {
	q, log := aside(t)
	q.add("flow@net", refusals(1))
	text, err := os.ReadFile(q.path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"at":"2026-11-21T09:00:00.000005Z","lane":"flow@net","code":6,"text":"invalid data format","event":{"event":{"n":1},"time":1.5}}` + "\n"
	if string(text) != want {
		t.Errorf("line\n%swant\n%s", text, want)
	}
	if info, _ := os.Stat(q.path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if !strings.Contains(log.String(), q.path) || strings.Contains(log.String(), `"n":1`) {
		t.Errorf("the log should name the file and no event: %s", log)
	}
}

// TestQuarantineIsDurable says that the name of a new file is, before there is
// anything in it.
func TestQuarantineIsDurable(t *testing.T) {
	q, _ := aside(t)
	var synced []string
	fault := errors.New("no")
	q.named = func(path string) error {
		if info, err := os.Stat(q.path); err != nil || info.Size() != 0 {
			t.Errorf("%v (%v), want an empty file", info, err)
		}
		synced = append(synced, path)
		return fault
	}
	q.add("flow", refusals(2))
	if q.lost() != 2 {
		t.Errorf("%d lost, want 2 when the name is not durable", q.lost())
	}
	fault = nil
	q.add("flow", refusals(1))
	q.add("flow", refusals(1))
	if want := []string{q.sink.cfg.Dir, q.sink.cfg.Dir}; !slices.Equal(synced, want) || q.lost() != 2 {
		t.Errorf("%v were synced, want %v; %d lost", synced, want, q.lost())
	}
}

// TestQuarantineOfNoJSON says that an event that is damaged leaves a line.
func TestQuarantineOfNoJSON(t *testing.T) {
	q, _ := aside(t)
	q.add("flow", []refusal{{code: 6, bytes: []byte(`{"event":`)}})
	text, err := os.ReadFile(q.path)
	if err != nil || !json.Valid(text) || q.lost() != 0 {
		t.Errorf("line %q (%v), %d lost; want a line of JSON", text, err, q.lost())
	}
}

// TestQuarantineIsBounded says that the file takes lines up to its bound, and
// that what is beyond is counted.
func TestQuarantineIsBounded(t *testing.T) {
	q, log := aside(t)
	q.add("flow", refusals(1))
	info, err := os.Stat(q.path)
	if err != nil {
		t.Fatal(err)
	}
	line := info.Size()
	for _, row := range []struct {
		size int64
		lost uint64
	}{{QuarantineMost - 2*line - 1, 0}, {QuarantineMost - 2*line, 0}, {QuarantineMost - 2*line + 1, 2}, {QuarantineMost + 1, 4}} {
		if err := os.Truncate(q.path, row.size); err != nil {
			t.Fatal(err)
		}
		q.add("flow", refusals(2))
		if q.lost() != row.lost {
			t.Errorf("at %d bytes %d are lost, want %d", row.size, q.lost(), row.lost)
		}
	}
	if !strings.Contains(log.String(), "remove it") {
		t.Errorf("the log does not say what to do: %s", log)
	}
}

// TestQuarantineIsTakenAway says that the file may be renamed at any time.
func TestQuarantineIsTakenAway(t *testing.T) {
	q, _ := aside(t)
	q.add("flow", refusals(3))
	if err := os.Rename(q.path, q.path+".old"); err != nil {
		t.Fatal(err)
	}
	q.add("flow", refusals(2))
	if got := len(quarantined(t, q.sink.cfg.Dir)); got != 2 || q.lost() != 0 {
		t.Errorf("%d lines, %d lost; want the 2 that came since", got, q.lost())
	}
}

func TestQuarantineThatCannotBeWritten(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":      func(path string) error { return os.Symlink(path+".elsewhere", path) },
	} {
		t.Run(name, func(t *testing.T) {
			q, log := aside(t)
			if err := spoil(q.path); err != nil {
				t.Fatal(err)
			}
			q.add("flow", refusals(3))
			if q.lost() != 3 || !strings.Contains(log.String(), "refused events are not kept") {
				t.Errorf("%d lost, log %q; want 3 and a warning", q.lost(), log)
			}
			if _, err := os.Stat(q.path + ".elsewhere"); err == nil {
				t.Error("the link was followed")
			}
		})
	}
}
