package metrics

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/pipeline"
)

// begin is the time of tests.
var begin = time.Unix(1_700_000_000, 0)

// many returns n sessions, of which those with an even number are configured,
// the last ones first. Each has one packet of ten bytes.
func many(n int) []pipeline.SessionLedger {
	var list []pipeline.SessionLedger
	for i := n; i > 0; i-- {
		list = append(list, pipeline.SessionLedger{
			Name: fmt.Sprintf("s%d", i), VNI: uint32(i), ID: uint32(i), Known: i%2 == 0,
			Packets: 1, Bytes: 10, Egress: 1, Truncated: 1, NotDelivered: 2, LastSeen: begin.UnixNano() + int64(i),
		})
	}
	return list
}

// lastSeen is when the latest of many was seen, as shown; 0 for none.
func lastSeen(i int64) float64 {
	if i == 0 {
		return 0
	}
	return float64(begin.UnixNano()+i) / 1e9
}

func scrapeSessions(t *testing.T, list []pipeline.SessionLedger) map[string]float64 {
	t.Helper()
	s := Snapshot{Now: begin}
	s.Ledger.Sessions = list
	return scrape(t, s)
}

// named returns the series of a metric.
func named(series map[string]float64, name string) (labels []string) {
	for s := range series {
		if strings.HasPrefix(s, name+"{") {
			labels = append(labels, strings.TrimPrefix(s, name))
		}
	}
	slices.Sort(labels)
	return labels
}

func TestSessionCap(t *testing.T) {
	for _, test := range []struct {
		sessions, series int
		other            float64 // bytes
		latest           int64
	}{
		{0, 0, 0, 0},
		{MaxSessions - 1, MaxSessions - 1, 0, 0},
		{MaxSessions, MaxSessions, 0, 0},
		// The odd ones are unknown, and of them the last came last.
		{MaxSessions + 1, MaxSessions + 1, 10, MaxSessions + 1},
		{3 * MaxSessions, MaxSessions + 1, 20 * MaxSessions, 3 * MaxSessions},
	} {
		t.Run(fmt.Sprint(test.sessions), func(t *testing.T) {
			got := scrapeSessions(t, many(test.sessions))
			if n := len(named(got, "periscope_session_bytes_total")); n != test.series {
				t.Errorf("%d series, want %d", n, test.series)
			}
			other := `{session="other",vni=""}`
			for name, want := range map[string]float64{
				"periscope_session_bytes_total" + other:                                      test.other,
				"periscope_session_truncated_packets_total" + other:                          test.other / 10,
				"periscope_session_not_delivered_packets_total" + other:                      test.other / 5,
				"periscope_session_last_seen_timestamp_seconds" + other:                      lastSeen(test.latest),
				`periscope_session_packets_total{direction="egress",session="other",vni=""}`: test.other / 10,
				`periscope_sessions{known="true"}`:                                           float64(test.sessions / 2),
				`periscope_sessions{known="false"}`:                                          float64(test.sessions - test.sessions/2),
			} {
				if got[name] != want {
					t.Errorf("%s is %v, want %v", name, got[name], want)
				}
			}
			sum := 0.0
			for _, labels := range named(got, "periscope_session_bytes_total") {
				sum += got["periscope_session_bytes_total"+labels]
			}
			if sum != float64(10*test.sessions) {
				t.Errorf("%v bytes in all, want %d", sum, 10*test.sessions)
			}
		})
	}
}

// TestSessionCapKeeps says that who has series of its own keeps them, whatever
// the traffic and whoever else comes, so that no counter goes back.
func TestSessionCapKeeps(t *testing.T) {
	s := Snapshot{Now: begin}
	c := newCollector(func() Snapshot { return s })
	s.Ledger.Sessions = many(MaxSessions + 1)
	before := named(collect(t, c), "periscope_session_bytes_total")
	s.Ledger.Sessions[0].Bytes = 1e6
	s.Ledger.Sessions = append(s.Ledger.Sessions,
		pipeline.SessionLedger{Name: "a-newcomer", VNI: 1 << 20, ID: MaxSessions + 2, Packets: 1, Bytes: 1e9, LastSeen: begin.UnixNano()})
	after := named(collect(t, c), "periscope_session_bytes_total")
	if !slices.Equal(before, after) {
		t.Errorf("other sessions have series of their own:\n%v\n%v", before, after)
	}
}

// TestSessionsOfOneName says that what has the same labels is added up: the
// sessions of one name and VNI that a change of source left behind.
func TestSessionsOfOneName(t *testing.T) {
	got := scrapeSessions(t, []pipeline.SessionLedger{
		{Name: "web", VNI: 7, ID: 9, Known: true, Packets: 3, Bytes: 30, Ingress: 1, Egress: 1, Undirected: 1, LastSeen: begin.UnixNano() + 5},
		{Name: "web", VNI: 7, ID: 2, Known: true, Packets: 30, Bytes: 300, Ingress: 10, Egress: 10, Undirected: 10, LastSeen: begin.UnixNano() + 4},
		{Name: "web", VNI: 8, ID: 1, Known: true, Bytes: 7, LastSeen: begin.UnixNano()},
		{Name: "other", VNI: 9, ID: 3, Known: true, Bytes: 8, LastSeen: begin.UnixNano()},
	})
	for name, want := range map[string]float64{
		`periscope_session_bytes_total{session="web",vni="7"}`:                       330,
		`periscope_session_packets_total{direction="ingress",session="web",vni="7"}`: 11,
		`periscope_session_packets_total{direction="egress",session="web",vni="7"}`:  11,
		`periscope_session_packets_total{direction="unknown",session="web",vni="7"}`: 11,
		`periscope_session_last_seen_timestamp_seconds{session="web",vni="7"}`:       lastSeen(5),
		`periscope_session_bytes_total{session="web",vni="8"}`:                       7,
		`periscope_session_bytes_total{session="other",vni="9"}`:                     8,
		`periscope_sessions{known="true"}`:                                           4,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

// TestSessionCalledOther says that a session may be called what the rest is
// called.
func TestSessionCalledOther(t *testing.T) {
	list := many(MaxSessions + 1)
	list[1].Name = "other"
	got := named(scrapeSessions(t, list), "periscope_session_bytes_total")
	for _, labels := range []string{`{session="other",vni=""}`, `{session="other",vni="1000"}`} {
		if !slices.Contains(got, labels) {
			t.Errorf("no series %s", labels)
		}
	}
}

// TestSessionsSummedUpAlready says that what the ledger does not tell apart any
// more counts as other, below the cap and above it.
func TestSessionsSummedUpAlready(t *testing.T) {
	for _, test := range []struct {
		sessions int
		bytes    float64
	}{{3, 5}, {MaxSessions + 1, 15}} {
		list := append(many(test.sessions), pipeline.SessionLedger{Name: "other", Packets: 1, Bytes: 5})
		got := scrapeSessions(t, list)
		if n := got[`periscope_session_bytes_total{session="other",vni=""}`]; n != test.bytes {
			t.Errorf("%d sessions: %v bytes of others, want %v", test.sessions, n, test.bytes)
		}
		if n := got[`periscope_sessions{known="true"}`] + got[`periscope_sessions{known="false"}`]; n != float64(test.sessions) {
			t.Errorf("%v sessions, want %d", n, test.sessions)
		}
	}
}
