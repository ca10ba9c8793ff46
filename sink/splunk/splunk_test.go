package splunk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

func TestMain(m *testing.M) { leak.Check(m) }

const token = "11111111-2222-4333-8444-555555555555"

// newConfig returns what sends flows to a server, from a directory of the test.
func newConfig(t testing.TB, urls ...string) Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{
		Dir:  filepath.Join(t.TempDir(), "spool"),
		Size: 64 << 20,
		HEC:  hec.Config{TokenFile: file, Version: "test"},
		Flow: true,
		Host: "collector-1",
		Log:  slog.New(slog.NewTextHandler(t.Output(), nil)),

		linger:    5 * time.Millisecond,
		holdLeast: 10 * time.Millisecond,
	}
	for _, u := range urls {
		c.HEC.Endpoints = append(c.HEC.Endpoints, hec.Endpoint{URL: u})
	}
	return c
}

func open(t testing.TB, c Config) *Sink {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var session = &packet.Session{Name: "web", VNI: 7, Known: true}

// flow returns a record with packets both ways, which its number tells from
// others.
func flow(n int) *packet.Flow {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC).UnixNano()
	return &packet.Flow{
		Session:  session,
		Addr:     [2]packet.Addr{packet.AddrFrom4([4]byte{10, 0, 0, 1}), packet.AddrFrom4([4]byte{10, 0, 0, 2})},
		Port:     [2]uint16{uint16(n), 443},
		Protocol: packet.ProtocolTCP,
		Begin:    at, End: at + int64(time.Minute),
		Side: [2]packet.FlowSide{
			{Packets: 2, Bytes: uint64(n), First: at, Last: at + int64(time.Second)},
			{Packets: 1, Bytes: 40, First: at, Last: at + int64(time.Second)},
		},
	}
}

// logTo returns what logs into a buffer.
func logTo(w *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// give gives flows with the numbers from and up to before to.
func give(s *Sink, from, to int) {
	for n := from; n < to; n++ {
		s.Flow(0, flow(n))
	}
	s.Mark(0, 0, time.Now().UnixNano())
}

// finish closes the sink and returns its account, which balances.
func finish(t testing.TB, s *Sink) sink.Ledger {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	l := s.Ledger()
	if n := l.Imbalance(); n != 0 {
		t.Errorf("imbalance %d: %+v", n, l)
	}
	return l
}

// An arrival is an event as a server has it.
type arrival struct {
	Sourcetype string
	Index      string
	Fields     map[string]string
	Event      json.RawMessage
	flow       struct {
		Port  int    `json:"src_port"`
		Bytes int    `json:"bytes_in"`
		UID   string `json:"event_uid"`
	}
}

func arrivals(t testing.TB, server *hectest.Server) (list []arrival) {
	t.Helper()
	for _, e := range server.Events() {
		var a arrival
		if err := json.Unmarshal(e, &a); err != nil {
			t.Fatalf("%v: %s", err, e)
		}
		if a.Sourcetype == "periscope:flow" {
			if err := json.Unmarshal(a.Event, &a.flow); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, a)
	}
	return list
}

// numbers returns how often each flow arrived, and fails if two events share an
// event_uid and are not the same, or the other way round.
func numbers(t testing.TB, server *hectest.Server) map[int]int {
	t.Helper()
	times, uids := make(map[int]int), make(map[string]int)
	for _, a := range arrivals(t, server) {
		if a.Sourcetype != "periscope:flow" {
			continue
		}
		times[a.flow.Bytes]++
		if n, seen := uids[a.flow.UID]; seen && n != a.flow.Bytes || a.flow.UID == "" {
			t.Errorf("flows %d and %d have event_uid %q", n, a.flow.Bytes, a.flow.UID)
		}
		uids[a.flow.UID] = a.flow.Bytes
	}
	if len(uids) != len(times) {
		t.Errorf("%d event_uids for %d flows", len(uids), len(times))
	}
	return times
}

// wantOnce fails unless every flow from and up to before to arrived once, but
// those that are missing.
func wantOnce(t testing.TB, times map[int]int, from, to int, missing ...int) {
	t.Helper()
	gone := make(map[int]bool)
	for _, n := range missing {
		gone[n] = true
	}
	var wrong []string
	for n := from; n < to; n++ {
		want := 1
		if gone[n] {
			want = 0
		}
		if times[n] != want {
			wrong = append(wrong, fmt.Sprintf("%d: %d times", n, times[n]))
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%d flows did not arrive as they should, the first %v", len(wrong), wrong[:min(5, len(wrong))])
	}
}

func TestEveryFlowArrivesOnce(t *testing.T) {
	server := hectest.New(t, token)
	s := open(t, newConfig(t, server.URL))
	const flows = 12_000 // three batches
	give(s, 0, flows)
	l := finish(t, s)
	wantOnce(t, numbers(t, server), 0, flows)
	if l.Offered != flows || l.Stored != flows {
		t.Errorf("account %+v, want %d offered and stored", l, flows)
	}
}

func TestOneBadEventIsPutAside(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		for _, bad := range []int{0, 499, 999} {
			t.Run(fmt.Sprintf("quiet=%v/%d", quiet, bad), func(t *testing.T) {
				bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
					makePicky(server, quiet, bad)
					c.linger = time.Second // one batch
					s := open(t, c)
					give(s, 0, 1000)
					l := finish(t, s)
					wantOnce(t, numbers(t, server), 0, 1000, bad)
					if l.Stored != 999 || l.Dropped[packet.DropRefused] != 1 {
						t.Errorf("account %+v, want 999 stored and 1 refused", l)
					}
					lines := quarantined(t, c.Dir)
					if len(lines) != 1 || lines[0].Lane != "flow" || lines[0].Code != 6 {
						t.Fatalf("quarantine %+v, want one event of code 6", lines)
					}
					if n := number(lines[0].Event); n != bad {
						t.Errorf("event %d is put aside, want %d", n, bad)
					}
				})
			})
		}
	}
}

func quarantined(t testing.TB, dir string) (lines []Quarantined) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, QuarantineName))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := json.NewDecoder(f); d.More(); {
		var q Quarantined
		if err := d.Decode(&q); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, q)
	}
	return lines
}
