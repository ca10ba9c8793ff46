package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// listing is a pipeline with sessions whose frames a test makes up.
type listing struct {
	*Pipeline
	t     *testing.T
	table *session.Table
	now   time.Time
}

func newListing(t *testing.T) *listing {
	t.Helper()
	table := session.New(session.Config{Workers: 2, UnknownMax: 64, BySource: 64, Log: discard})
	p, err := New(Config{Workers: 2, Live: true, Sessions: table, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	return &listing{p, t, table, time.Unix(1_700_000_000, 0)}
}

// frames makes up n frames of a direction.
func (l *listing) frames(vni uint32, source string, mac byte, d packet.Direction, n int) *packet.Session {
	l.t.Helper()
	f := packet.Frame{VNI: vni, Source: address(source), Time: l.now.UnixNano(), Direction: d, Data: make([]byte, 60), Length: 60}
	copy(f.Data, []byte{6: 0x0a, 11: mac, 12: 8, 14: 0x45})
	copy(f.Data[26:], f.Source[12:]) // it sends
	for range n {
		var reason packet.Reason
		if f.Session, reason = l.table.Lookup(&f); reason != packet.None {
			l.t.Fatal(reason)
		}
		r := l.workers[0].runs.of(f.Session, 0)
		r.stray = stray(&f)
		l.workers[0].deliver(r, &f)
	}
	l.workers[0].runs.flush(0)
	return f.Session
}

func address(text string) packet.Addr {
	var a [4]byte
	fmt.Sscanf(text, "%d.%d.%d.%d", &a[0], &a[1], &a[2], &a[3])
	return packet.AddrFrom4(a)
}

// learnt is an entry of AWS.
func learnt(name string, vni uint32, source string, mac byte) session.Entry {
	return session.Entry{
		Name: name, VNI: vni, Source: address(source), MAC: [6]byte{0: 0x0a, 5: mac}, Learned: true,
		Workload: packet.Workload{SessionID: "tms-" + name, InterfaceID: "eni-" + name, AccountID: "111122223333", Region: "eu-central-1"},
	}
}

// rows returns what is listed, as name: flags.
func (l *listing) rows(all bool, d *Discovery) (rows []string) {
	for _, r := range l.SessionList(l.now, all, "1.2.3", d).Sessions {
		rows = append(rows, strings.TrimSpace(r.Name+": "+strings.Join(r.Flags, " ")))
	}
	return rows
}

func TestFlags(t *testing.T) {
	const minute = time.Minute
	file := func(entries ...session.Entry) func(*listing) { return func(l *listing) { l.table.Replace(entries) } }
	aws := func(entries ...session.Entry) func(*listing) { return func(l *listing) { l.table.Learn(entries) } }
	web := session.Entry{Name: "web", VNI: 7}
	some := func(n int, d packet.Direction) func(*listing) {
		return func(l *listing) { l.frames(7, "10.0.0.1", 1, d, n) }
	}
	stale := &Discovery{stale: map[string]time.Time{"tms-web": time.Unix(2, 0)}}
	for _, test := range []struct {
		name    string
		learn   func(*listing)
		traffic func(*listing)
		later   time.Duration
		aws     *Discovery
		want    string
	}{
		{"all is well", file(web), some(1, packet.Ingress), 10*minute - 1, nil, "web:"},
		{"silent for 10 minutes", file(web), some(1, packet.Ingress), 10 * minute, nil, "web: silent"},
		{"never heard", file(web), nil, 0, nil, "web: silent"},
		{"never heard, and ends later", file(session.Entry{Name: "web", VNI: 7, Until: 1_700_000_001e9}), nil, 0, nil, "web: silent"},
		{"over", file(session.Entry{Name: "web", VNI: 7, Until: 1_700_000_000e9}), nil, 0, nil, ""},
		{"unknown", nil, some(1, packet.Ingress), 0, nil, "vni-7-10.0.0.1: unknown"},
		{"unknown for long", nil, some(1, packet.Ingress), 24 * time.Hour, nil, "vni-7-10.0.0.1: unknown"},

		{"from its interface's address", file(session.Entry{Name: "web", VNI: 7, Addresses: []packet.Addr{address("10.0.0.9"), address("10.0.0.1")}}),
			some(1, packet.Ingress), 0, nil, "web:"},
		{"from another address", file(session.Entry{Name: "web", VNI: 7, Addresses: []packet.Addr{address("10.0.0.9")}}),
			some(1, packet.Ingress), 0, nil, "web: source_mismatch"},
		{"from the one source there is", file(session.Entry{Name: "web", VNI: 7, Source: address("10.0.0.1"), Addresses: []packet.Addr{address("10.0.0.9")}}),
			some(1, packet.Ingress), 0, nil, "web:"},
		{"known VNI, another source", aws(learnt("web", 7, "10.0.0.9", 1)), some(1, packet.Ingress), 0, nil,
			"vni-7-10.0.0.1: source_mismatch, web: silent"},
		{"known VNI and source, another interface", aws(learnt("web", 7, "10.0.0.1", 2)), some(1, packet.Ingress), 0, nil,
			"vni-7-10.0.0.1: source_mismatch, web: silent"},
		{"VNI that was known before", file(session.Entry{Name: "web", VNI: 7, Until: 1}), some(1, packet.Ingress), 0, nil,
			"vni-7-10.0.0.1: unknown"},

		{"99 packets of one direction", file(web), some(99, packet.Egress), 0, nil, "web:"},
		{"100 packets of one direction", file(web), some(100, packet.Egress), 0, nil, "web: one_direction"},
		{"100 packets, and one of the other", file(web), func(l *listing) { some(100, packet.Ingress)(l); some(1, packet.Egress)(l) }, 0, nil, "web:"},
		{"100 packets of no direction", file(web), some(100, packet.DirectionUnknown), 0, nil, "web:"},

		{"AWS is heard", aws(learnt("web", 7, "10.0.0.1", 1)), some(1, packet.Ingress), 0, &Discovery{Scopes: make([]Scope, 1)}, "web:"},
		{"AWS is not heard", aws(learnt("web", 7, "10.0.0.1", 1)), some(1, packet.Ingress), 0, stale, "web: stale"},
		{"AWS is not heard of another", aws(learnt("db", 7, "10.0.0.1", 1)), some(1, packet.Ingress), 0, stale, "db:"},
		{"AWS is not heard, the session file says it", file(web), some(1, packet.Ingress), 0, stale, "web:"},
		{"everything at once", aws(learnt("web", 7, "10.0.0.1", 1)), some(100, packet.Ingress), 10 * minute, stale, "web: silent one_direction stale"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // in the year 2000, so that all was learnt long ago
				l := newListing(t)
				for _, do := range []func(*listing){test.learn, test.traffic} {
					if do != nil {
						do(l)
					}
				}
				l.now = l.now.Add(test.later)
				if got := strings.Join(l.rows(false, test.aws), ", "); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		})
	}
}

// A session without a frame is silent 10 minutes after it was learnt, however long
// it is there.
func TestSilentSinceItWasLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListing(t)
		l.table.Replace([]session.Entry{{Name: "file", VNI: 7}})
		time.Sleep(time.Minute)
		web := learnt("web", 8, "10.0.0.1", 1)
		web.From = 1
		l.table.Learn([]session.Entry{web})
		for _, test := range []struct {
			later time.Duration
			want  string
		}{
			{0, "file:, web:"},
			{9*time.Minute - 1, "file:, web:"},
			{9 * time.Minute, "file: silent, web:"},
			{10*time.Minute - 1, "file: silent, web:"},
			{10 * time.Minute, "file: silent, web: silent"},
		} {
			l.now = time.Now().Add(test.later)
			if got := strings.Join(l.rows(false, nil), ", "); got != test.want {
				t.Errorf("%v later: %s, want %s", test.later, got, test.want)
			}
		}
	})
}

// A direction alone is no flag where the mirror filter explains it.
func TestFilterExplainsDirection(t *testing.T) {
	for _, test := range []struct {
		frames          int
		only, direction packet.Direction
		want            string
	}{
		{100, packet.Ingress, packet.Ingress, "[] its mirror filter tmf-1 accepts ingress only"},
		{100, packet.Egress, packet.Egress, "[] its mirror filter tmf-1 accepts egress only"},
		{99, packet.Egress, packet.Egress, "[]"},
		{100, packet.Ingress, packet.Egress, "[one_direction]"},
		{100, packet.DirectionUnknown, packet.Egress, "[one_direction]"},
		{100, packet.Ingress, packet.DirectionUnknown, "[]"},
	} {
		l := newListing(t)
		e := learnt("web", 7, "10.0.0.1", 1)
		e.Workload.SessionID = "tms-1"
		l.table.Learn([]session.Entry{e})
		l.frames(7, "10.0.0.1", 1, test.direction, test.frames)
		l.frames(8, "10.0.0.1", 1, test.direction, 1) // an unknown one has no filter
		d := &Discovery{filter: func(id string) (string, packet.Direction) {
			if id != "tms-1" {
				t.Errorf("asked about the filter of %q", id)
			}
			return "tmf-1", test.only
		}}
		for _, row := range l.SessionList(l.now, false, "", d).Sessions {
			if !row.Known {
				continue
			}
			if got := strings.TrimSpace(fmt.Sprint(row.Flags, " ", row.Remark)); got != test.want || row.FilterID != "tmf-1" {
				t.Errorf("%d %v, %v accepted: %s, filter %s; want %s", test.frames, test.direction, test.only, got, row.FilterID, test.want)
			}
		}
	}
}

// A row has what the flags come from.
func TestSessionRow(t *testing.T) {
	l := newListing(t)
	e := learnt("web", 7, "10.0.0.1", 1)
	e.From = l.now.UnixNano() - 1e9
	l.table.Learn([]session.Entry{e})
	l.frames(7, "10.0.0.1", 1, packet.Egress, 100)
	l.frames(7, "10.0.0.1", 3, packet.Egress, 1)
	stale := time.Unix(2, 0).UTC()
	list := l.SessionList(l.now, false, "1.2.3", &Discovery{stale: map[string]time.Time{"tms-web": stale}})
	text, err := json.Marshal(list.Sessions)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"vni-7-10.0.0.1","vni":7,"packets":1,"bytes":60,"ingress":0,"egress":1,"truncated":0,"known":false,"not_delivered":0,` +
		`"flags":["source_mismatch"],"resembles":"web","learned":false,"over":false,"since":"2023-11-14T22:13:20Z","last_seen":"2023-11-14T22:13:20Z",` +
		`"source":"10.0.0.1","mac":"0a:00:00:00:00:03"},` +
		`{"name":"web","vni":7,"packets":100,"bytes":6000,"ingress":0,"egress":100,"truncated":0,"known":true,"not_delivered":0,` +
		`"flags":["one_direction","stale"],"learned":true,"over":false,"since":"2023-11-14T22:13:19Z","last_seen":"2023-11-14T22:13:20Z",` +
		`"stale_since":"1970-01-01T00:00:02Z","source":"10.0.0.1","mac":"0a:00:00:00:00:01","interface_id":"eni-web","account_id":"111122223333","region":"eu-central-1","session_id":"tms-web"}]`
	if string(text) != want {
		t.Errorf("%s, want\n%s", text, want)
	}
	if !list.Time.Equal(l.now) || list.Version != "1.2.3" || list.Discovery == nil {
		t.Errorf("%+v", list)
	}
}

// What is over is listed when asked for, and has no flags.
func TestAllSessions(t *testing.T) {
	l := newListing(t)
	l.now = time.Now().Add(time.Hour) // web was never heard
	past := learnt("past", 7, "10.0.0.1", 1)
	past.Until = l.now.UnixNano()
	l.table.Learn([]session.Entry{past, learnt("web", 8, "10.0.0.2", 2)})
	l.table.Replace([]session.Entry{{Name: "gone", VNI: 9}})
	l.table.Replace(nil)
	if got, want := l.rows(false, nil), []string{"web: silent"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := l.rows(true, nil), []string{"gone:", "past:", "web: silent"}; !slices.Equal(got, want) {
		t.Errorf("all: %q, want %q", got, want)
	}
}

// In the ledger an unknown session that became a learnt one is counted under the
// learnt one's name, before and after it is forgotten, and the sum is the whole.
func TestLedgerCountsWhatSessionsBecame(t *testing.T) {
	l := newListing(t)
	l.frames(7, "10.0.0.1", 1, packet.Egress, 5)
	l.frames(8, "10.0.0.2", 2, packet.Egress, 3) // stays unknown
	first := learnt("", 7, "10.0.0.1", 1)
	first.Name = "eni-web"
	l.table.Learn([]session.Entry{first})
	l.frames(7, "10.0.0.1", 1, packet.Ingress, 20)
	second := first
	second.Name, second.Workload.Service = "web", "web"
	l.table.Learn([]session.Entry{second})
	l.frames(7, "10.0.0.1", 1, packet.Ingress, 100)
	l.table.Learn([]session.Entry{second, learnt("past", 9, "10.0.0.3", 3)})
	got := func() (rows []string) {
		for _, s := range l.sessionLedgers() {
			rows = append(rows, fmt.Sprintf("%s %d: %d/%d, %d and %d", s.Name, s.VNI, s.Packets, s.Bytes, s.Egress, s.Ingress))
		}
		return rows
	}
	want := []string{"past 9: 0/0, 0 and 0", "web 7: 125/7500, 5 and 120", "vni-8-10.0.0.2 8: 3/180, 3 and 0"}
	if rows := got(); !slices.Equal(rows, want) {
		t.Errorf("%q, want %q", rows, want)
	}
	// A learnt session that ended and had no frames is not listed.
	l.table.Learn([]session.Entry{second})
	if rows := got(); !slices.Equal(rows, want[1:]) {
		t.Errorf("%q, want %q", rows, want[1:])
	}
}

// The sum of the rows is the whole while sessions begin, become others, and end.
func TestRowsAreConsistentWhileSessionsChange(t *testing.T) {
	l := newListing(t)
	const vnis = 50
	var entries []session.Entry
	for vni := range uint32(vnis) {
		entries = append(entries, learnt(fmt.Sprint("web-", vni), vni, fmt.Sprint("10.0.1.", vni), byte(vni)))
	}
	var begun, counted atomic.Uint64
	traffic := func() {
		begun.Add(vnis)
		for vni := range uint32(vnis) {
			l.frames(vni, fmt.Sprint("10.0.1.", vni), byte(vni), packet.Egress, 1)
		}
		counted.Add(vnis)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 40 {
			traffic()
			l.table.Learn(entries)
			traffic()
			for last := range entries {
				l.table.Learn(entries[last+1:])
			}
		}
	}()
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
		}
		least, sum := counted.Load(), uint64(0)
		for _, s := range l.sessionLedgers() {
			sum += s.Packets
		}
		if most := begun.Load(); sum < least || sum > most {
			t.Fatalf("%d packets, want %d to %d", sum, least, most)
		}
	}
}

// 10,000 sessions take a few MB, and a moment.
func TestTenThousandSessions(t *testing.T) {
	l := newListing(t)
	var entries []session.Entry
	for vni := range uint32(10_000) {
		entries = append(entries, learnt(fmt.Sprintf("checkout-%08x", vni), vni, fmt.Sprintf("10.0.%d.%d", vni>>8, vni&255), 1))
	}
	l.table.Learn(entries)
	text, err := json.Marshal(l.SessionList(time.Now().Add(Silence), true, "", nil))
	if err != nil || len(text) > 5<<20 || strings.Count(string(text), `"silent"`) != 10_000 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
