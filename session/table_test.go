package session_test

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// A journal holds what was logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newTable(t testing.TB, c session.Config) *session.Table {
	t.Helper()
	c.Workers, c.Log = max(c.Workers, 1), quiet
	return session.New(c)
}

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// many returns n entries with different random VNIs, of which those of kind
// ipv4 and ipv6 have a source.
func many(kind string, n int) []session.Entry {
	random := rand.New(rand.NewPCG(7, uint64(n)))
	taken := make(map[uint32]bool)
	entries := make([]session.Entry, 0, n)
	for len(entries) < n {
		vni := random.Uint32N(session.MaxVNI + 1)
		if taken[vni] {
			continue
		}
		taken[vni] = true
		e := session.Entry{Name: fmt.Sprintf("%s-%d", kind, vni), VNI: vni}
		switch kind {
		case "ipv4":
			e.Source = packet.AddrFrom4([4]byte{10, byte(vni >> 16), byte(vni >> 8), byte(vni)})
		case "ipv6":
			e.Source = packet.Addr{0: 0xfd, 13: byte(vni >> 16), 14: byte(vni >> 8), 15: byte(vni)}
		}
		entries = append(entries, e)
	}
	return entries
}

// found looks a session up and returns its name, or the reason there is none.
func found(table *session.Table, vni uint32, source string) string {
	var from packet.Addr
	if source != "" {
		from = addr(source)
	}
	s, reason := table.Lookup(&packet.Frame{VNI: vni, Source: from})
	if (s == nil) != (reason != packet.None) {
		return fmt.Sprintf("session %v with reason %v", s, reason)
	}
	if s == nil {
		return reason.String()
	}
	return s.Name
}

func names(sessions []*packet.Session) []string {
	var n []string
	for _, s := range sessions {
		n = append(n, s.Name)
	}
	return n
}

func TestLookupPrecedence(t *testing.T) {
	entries := []session.Entry{
		{Name: "any-1", VNI: 1},
		{Name: "a-1", VNI: 1, Source: addr("10.0.0.1")},
		{Name: "b-1", VNI: 1, Source: addr("fd00::1")},
		{Name: "a-2", VNI: 2, Source: addr("10.0.0.1")},
		{Name: "any-0", VNI: 0},
		{Name: "any-max", VNI: session.MaxVNI},
		{Name: "v6-3", VNI: 3, Source: addr("fd00::a00:1")}, // ends like 10.0.0.1
	}
	tests := []struct {
		name   string
		vni    uint32
		source string
		want   string
	}{
		{"the source's own entry", 1, "10.0.0.1", "a-1"},
		{"IPv6", 1, "fd00::1", "b-1"},
		{"mapped source", 1, "::ffff:10.0.0.1", "a-1"},
		{"another source", 1, "10.0.0.2", "any-1"},
		{"no source", 1, "", "any-1"},
		{"same source, another vni", 2, "10.0.0.1", "a-2"},
		{"the entry has another source", 2, "10.0.0.2", "vni-2"},
		{"the entry has a source, the frame none", 2, "", "vni-2"},
		{"least vni", 0, "10.0.0.1", "any-0"},
		{"largest vni", session.MaxVNI, "", "any-max"},
		{"only 24 bits count", 1<<24 | 1, "10.0.0.1", "a-1"},
		{"an IPv4 address in the last bytes of an IPv6 one", 3, "10.0.0.1", "vni-3"},
		{"IPv6 source", 3, "fd00::a00:1", "v6-3"},
		{"unspecified IPv4", 3, "0.0.0.0", "vni-3"},
		{"unknown", 4, "10.0.0.1", "vni-4"},
		{"unknown, another source", 4, "10.0.0.2", "vni-4"},
	}
	table := newTable(t, session.Config{UnknownMax: 3})
	table.Replace(entries)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := found(table, tt.vni, tt.source); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	want := []string{"a-1", "a-2", "any-0", "any-1", "any-max", "b-1", "v6-3", "vni-2", "vni-3", "vni-4"}
	if got := names(table.Sessions()); !slices.Equal(got, want) {
		t.Errorf("sessions %v, want %v", got, want)
	}
}

// Every entry of a full table is found, at sizes about those at which the
// index grows, and every other VNI is not.
func TestLookupAllOfMany(t *testing.T) {
	for _, kind := range []string{"vni", "ipv4", "ipv6"} {
		for _, n := range []int{0, 1, 5, 6, 7, 8, 767, 768, 769, 10_000} {
			table := newTable(t, session.Config{Unknown: session.Drop})
			entries := many(kind, n)
			table.Replace(entries)
			known := make(map[uint32]bool)
			for i := range entries {
				e := &entries[i]
				known[e.VNI] = true
				if s, _ := table.Lookup(&packet.Frame{VNI: e.VNI, Source: e.Source}); s == nil || s.Name != e.Name {
					t.Fatalf("%d of kind %s: entry %s: found %v", n, kind, e.Name, s)
				}
			}
			for vni := range uint32(1000) {
				if s, r := table.Lookup(&packet.Frame{VNI: vni, Source: packet.Addr{}}); !known[vni] && r != packet.UnknownSession {
					t.Fatalf("%d of kind %s: vni %d: found %v, %v", n, kind, vni, s, r)
				}
			}
		}
	}
}

func TestUnknownLimit(t *testing.T) {
	var log journal
	table := session.New(session.Config{
		Workers: 2, UnknownMax: 3, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	table.Replace([]session.Entry{{Name: "known", VNI: 100}})
	for vni := range uint32(3) { // up to the limit
		if got, want := found(table, vni, ""), fmt.Sprintf("vni-%d", vni); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, vni := range []uint32{3, 4, 3} { // beyond
		if got := found(table, vni, ""); got != "unknown_limit" {
			t.Errorf("vni %d: got %s", vni, got)
		}
	}
	for _, vni := range []uint32{0, 1, 2, 100} { // those there are stay
		if s, r := table.Lookup(&packet.Frame{VNI: vni, Source: packet.Addr{}}); r != packet.None || s.Known != (vni == 100) || len(s.Tallies) != 3 {
			t.Errorf("vni %d: %+v, %v", vni, s, r)
		}
	}
	if n := strings.Count(log.String(), "sessions.unknown_max"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
}

func TestUnknownVNIHas24Bits(t *testing.T) {
	table := newTable(t, session.Config{UnknownMax: 1})
	if s, _ := table.Lookup(&packet.Frame{VNI: 1<<24 | 9, Source: packet.Addr{}}); s.VNI != 9 || s.Name != "vni-9" {
		t.Errorf("got %s of vni %d", s.Name, s.VNI)
	}
}

func TestUnknownMaxZeroOrLess(t *testing.T) {
	for _, n := range []int{0, -1} {
		table := newTable(t, session.Config{UnknownMax: n})
		if got := found(table, 1, ""); got != "unknown_limit" {
			t.Errorf("unknown_max %d: got %s", n, got)
		}
	}
}

// One sender goes through a million VNIs, over and over.
func TestMillionVNIs(t *testing.T) {
	table := newTable(t, session.Config{UnknownMax: 256})
	source := addr("10.0.0.1")
	counts := make(map[packet.Reason]int)
	for vni := range uint32(1_000_000) {
		_, reason := table.Lookup(&packet.Frame{VNI: vni, Source: source})
		counts[reason]++
	}
	if counts[packet.None] != 256 || counts[packet.UnknownLimit] != 1_000_000-256 {
		t.Errorf("reasons %v", counts)
	}
	if n := len(table.Sessions()); n != 256 {
		t.Errorf("%d sessions, want 256", n)
	}
	vni := uint32(0)
	if n := testing.AllocsPerRun(100_000, func() { vni++; table.Lookup(&packet.Frame{VNI: vni, Source: source}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := len(table.Ended()); n != 0 {
		t.Errorf("%d ended", n)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	for _, kind := range []string{"vni", "ipv4", "ipv6"} {
		table := newTable(t, session.Config{UnknownMax: 1})
		entries := many(kind, 100)
		table.Replace(entries)
		table.Lookup(&packet.Frame{VNI: session.MaxVNI, Source: packet.Addr{}}) // an unknown one
		n := testing.AllocsPerRun(10, func() {
			for i := range entries {
				table.Lookup(&packet.Frame{VNI: entries[i].VNI, Source: entries[i].Source})
			}
			table.Lookup(&packet.Frame{VNI: session.MaxVNI, Source: packet.Addr{}})
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

// Several workers meet the same new VNIs at once: each is one session.
func TestUnknownConcurrently(t *testing.T) {
	const workers, vnis, limit = 4, 200, 100
	table := newTable(t, session.Config{Workers: workers, UnknownMax: limit})
	var admitted [workers]map[uint32]*packet.Session
	var wg sync.WaitGroup
	for w := range workers {
		admitted[w] = make(map[uint32]*packet.Session)
		wg.Go(func() {
			for vni := range uint32(vnis) {
				if s, r := table.Lookup(&packet.Frame{VNI: vni, Source: packet.Addr{}}); r == packet.None {
					admitted[w][vni] = s
				}
			}
		})
	}
	wg.Wait()
	sessions := table.Sessions()
	if len(sessions) != limit {
		t.Fatalf("%d sessions, want %d", len(sessions), limit)
	}
	ids := make(map[uint32]bool)
	for _, s := range sessions {
		ids[s.ID] = true
		for w := range workers {
			if a := admitted[w][s.VNI]; a != nil && a != s {
				t.Errorf("worker %d has another session of vni %d", w, s.VNI)
			}
		}
	}
	if len(ids) != limit {
		t.Errorf("%d ids of %d sessions", len(ids), limit)
	}
}
