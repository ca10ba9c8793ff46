package pipeline

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
)

// packetsOf returns how many frames each session has.
func packetsOf(l Ledger) map[string]int {
	packets := make(map[string]int)
	for _, s := range l.Sessions {
		packets[s.Name] = int(s.Packets)
	}
	return packets
}

// A replay with a configuration that asks AWS knows what its journal says, beside
// the session file, which goes first; unless the sessions are given.
func TestReplayWithConfiguredJournal(t *testing.T) {
	file, frames := heldInTurn(t)
	listed := filepath.Join(t.TempDir(), "sessions.yaml")
	text := `sessions: [{name: listed, vni: 7, until: "` + time.Unix(0, began+int64(time.Hour)).UTC().Format(time.RFC3339) + `"}]`
	if err := os.WriteFile(listed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, n := range frames {
		all += n
	}
	known := kept(t)
	missing := filepath.Join(t.TempDir(), "sessions.journal")
	const learnt, none = `msg="the sessions of a journal are known"`, `msg="there is no session journal`
	for _, tt := range []struct {
		name, file, journal string
		noJournal           bool
		want                map[string]int
		log                 string // "" for none
	}{
		{"the journal alone", "", known, false, frames, learnt},
		{"beside a session file", listed, known, false, map[string]int{"listed": frames["web-aaaaaaaa"] + frames["vni-7"],
			"web-bbbbbbbb": frames["web-bbbbbbbb"], "db-cccccccc": frames["db-cccccccc"]}, learnt},
		{"none there", "", missing, false, map[string]int{"vni-7": all}, none},
		{"none wanted", "", "", false, map[string]int{"vni-7": all}, none},
		{"the session file is given", listed, known, true, map[string]int{"listed": frames["web-aaaaaaaa"] + frames["vni-7"],
			"vni-7": frames["web-bbbbbbbb"] + frames["db-cccccccc"]}, ""},
		{"a journal is given", known, missing, true, frames, learnt},
	} {
		cfg := config.Default()
		aws := config.DefaultAWS()
		aws.Journal = tt.journal
		cfg.AWS, cfg.Sessions.File = &aws, tt.file
		var log strings.Builder
		l, err := replayInto(t, t.TempDir(), cfg, ReplayConfig{Paths: []string{file}, BareVNI: -1, NoJournal: tt.noJournal}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		got := packetsOf(l)
		if !l.Balanced || !maps.Equal(got, tt.want) {
			t.Errorf("%s: sessions %v, want %v", tt.name, got, tt.want)
		}
		for _, line := range []string{learnt, none} {
			if n := strings.Count(log.String(), line); n != 0 && line != tt.log || n != 1 && line == tt.log {
				t.Errorf("%s: logged %d times %s:\n%s", tt.name, n, line, &log)
			}
		}
		if tt.log == learnt && !strings.Contains(log.String(), "file="+known+" entries=4") {
			t.Errorf("%s: logged %s", tt.name, &log)
		}
	}

	aws := config.DefaultAWS()
	aws.Journal = file
	cfg := config.Default()
	cfg.AWS = &aws
	if _, err := replayInto(t, t.TempDir(), cfg, ReplayConfig{Paths: []string{file}, BareVNI: -1}, discard); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("what is no journal: %v", err)
	}
}

// What is kept of a service binds its tasks, whom the journal knows.
func TestReplayKeepsByService(t *testing.T) {
	file, frames := heldInTurn(t)
	cfg := config.Default()
	aws := config.DefaultAWS()
	aws.Journal = kept(t)
	cfg.AWS = &aws
	cfg.Keep = []config.Keep{{Match: config.Match{Service: "web"}, Keep: "none"}}
	l, err := replayInto(t, t.TempDir(), cfg, ReplayConfig{Paths: []string{file}, BareVNI: -1}, discard)
	if err != nil {
		t.Fatal(err)
	}
	web := frames["web-aaaaaaaa"] + frames["web-bbbbbbbb"]
	if got := int(l.Sinks["pcap"].Dropped["policy"]); !l.Balanced || got != web {
		t.Errorf("%d frames are not kept, want %d: %+v", got, web, l.Sinks["pcap"])
	}
}

// Capture files of a collector that did not know its sessions yet give, with the
// journal, the files that it had written if it had, whatever the number of workers.
func TestReplayOwnCapturesWithJournal(t *testing.T) {
	file, frames := heldInTurn(t)
	sessions := kept(t)
	before, want := t.TempDir(), t.TempDir()
	if l, err := replayHeld(t, file, "", before, 1, discard); err != nil || len(packetsOf(l)) != 1 {
		t.Fatal(packetsOf(l), err)
	}
	own, err := filepath.Glob(filepath.Join(before, "frames", "vni-7", "*.pcap"))
	if err != nil || len(own) == 0 {
		t.Fatal(own, err)
	}
	if _, err := replayHeld(t, file, sessions, want, 1, discard); err != nil {
		t.Fatal(err)
	}
	var first map[string]string
	for _, workers := range []int{1, 2, 5} {
		cfg := config.Default()
		cfg.Sessions.File, cfg.Capture.Workers = sessions, workers
		dir := t.TempDir()
		l, err := replayInto(t, dir, cfg, ReplayConfig{Paths: own, BareVNI: 7, NoJournal: true}, discard)
		if err != nil {
			t.Fatal(err)
		}
		got := packetsOf(l)
		if !l.Balanced || !maps.Equal(got, frames) {
			t.Errorf("%d workers: sessions %v, want %v", workers, got, frames)
		}
		if first == nil {
			first = tree(t, dir)
		} else if files := tree(t, dir); !maps.Equal(files, first) {
			t.Errorf("%d workers give other files than one: %v, %v", workers, files, first)
		}
		if files := tree(t, filepath.Join(dir, "frames")); !maps.Equal(files, tree(t, filepath.Join(want, "frames"))) {
			t.Errorf("%d workers: other captures than of the datagrams: %v", workers, files)
		}
	}
}
