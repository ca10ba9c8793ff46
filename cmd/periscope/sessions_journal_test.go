package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// writeJournal writes a journal in which 10.0.3.7 had two holders, one after the
// other, and 10.0.3.8 has one.
func writeJournal(t *testing.T, path string) string {
	t.Helper()
	j, err := journal.Open(path, journal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	at := func(text string) int64 {
		moment, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return moment.UnixNano()
	}
	entry := func(task, source string, vni uint32, from, until int64, more ...string) session.Entry {
		e := session.Entry{
			Name: "shop-" + task[:8], VNI: vni, Source: packet.AddrFrom(netip.MustParseAddr(source)), From: from, Until: until, Learned: true,
			MAC: [6]byte{0x0a, 5: byte(vni)},
			Workload: packet.Workload{InterfaceID: "eni-" + task, SessionID: "tms-" + task, AccountID: "111122223333", Region: "eu-central-1",
				Service: "shop", Cluster: "prod", TaskARN: "arn:aws:ecs:eu-central-1:111122223333:task/prod/" + task},
		}
		for _, a := range append(more, source) {
			e.Addresses = append(e.Addresses, packet.AddrFrom(netip.MustParseAddr(a)))
		}
		return e
	}
	if err := j.Append([]session.Entry{
		entry("22222222222222222", "10.0.3.7", 12, at("2026-11-20 14:00:05"), 0),
		entry("11111111111111111", "10.0.3.7", 11, at("2026-11-20 09:00:00"), at("2026-11-20 14:00:00")),
		entry("33333333333333333", "10.0.3.8", 13, at("2026-11-20 08:00:00"), 0, "10.0.3.100"),
	}); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSessionsJournal(t *testing.T) {
	path := writeJournal(t, filepath.Join(t.TempDir(), "sessions.journal"))
	title := "ADDRESS   FROM (UTC)           UNTIL                VNI  SESSION        INTERFACE              WORKLOAD\n"
	first := "10.0.3.7  2026-11-20 09:00:00  2026-11-20 14:00:00   11  shop-11111111  eni-11111111111111111  shop/11111111\n"
	second := "10.0.3.7  2026-11-20 14:00:05  -                     12  shop-22222222  eni-22222222222222222  shop/22222222\n"
	third := "10.0.3.8  2026-11-20 08:00:00  -                     13  shop-33333333  eni-33333333333333333  shop/33333333\n"
	brief := strings.NewReplacer("UNTIL                VNI", "UNTIL  VNI", "-                     1", "-       1")
	for _, test := range []struct {
		name, at, address string
		want              string
	}{
		{"all", "", "", title + first + second + third},
		{"an address", "", "10.0.3.7", title + first + second},
		{"yesterday at 14:05", "2026-11-20 14:05", "10.0.3.7", brief.Replace(title + second)},
		{"with a zone", "2026-11-20T15:05:00+01:00", "10.0.3.7", brief.Replace(title + second)},
		{"to the second", "2026-11-20T13:59:59", "10.0.3.7", title + first},
		{"it begins", "2026-11-20 09:00:00", "10.0.3.7", title + first},
		{"it ends", "2026-11-20T14:00", "10.0.3.7", "No tenure of that address and time; the journal has 3.\n"},
		{"a time", "2026-11-20 09:00:00", "", title + first + third},
		{"a further address of an interface", "2026-11-20T14:05:00Z", "10.0.3.100", brief.Replace(title + third)},
		{"nobody", "", "10.0.3.9", "No tenure of that address and time; the journal has 3.\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"sessions", "--journal", path}
			if test.at != "" {
				args = append(args, "--at", test.at)
			}
			if test.address != "" {
				args = append(args, "--address", test.address)
			}
			if r := runHere(args...); r.code != exitOK || r.stderr != "" || r.stdout != test.want {
				t.Errorf("%d, %q\n%swant\n%s", r.code, r.stderr, r.stdout, test.want)
			}
		})
	}
}

func TestSessionsJournalAsJSON(t *testing.T) {
	path := writeJournal(t, filepath.Join(t.TempDir(), "sessions.journal"))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	lines[2] = strings.Replace(lines[2], "1", "?", 1) // the first holder of 10.0.3.7
	writeFile(t, path, []byte(strings.Join(lines, "")))
	r := runHere("sessions", "--journal", path, "--address", "10.0.3.7", "--json")
	var got struct {
		Tenures []map[string]any
		Damaged int
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != exitOK {
		t.Fatal(r, err)
	}
	if r.stderr != "periscope: 1 damaged line of "+path+" passed over\n" || got.Damaged != 1 || len(got.Tenures) != 1 {
		t.Fatalf("%+v\n%+v", r, got)
	}
	for key, want := range map[string]any{
		"name": "shop-22222222", "vni": 12., "source": "10.0.3.7", "from": "2026-11-20T14:00:05Z", "until": nil, "interface_id": "eni-22222222222222222",
		"service": "shop", "mac": "0a:00:00:00:00:0c", "task_arn": "arn:aws:ecs:eu-central-1:111122223333:task/prod/22222222222222222",
	} {
		if got.Tenures[0][key] != want {
			t.Errorf("%s is %v, want %v", key, got.Tenures[0][key], want)
		}
	}
}
