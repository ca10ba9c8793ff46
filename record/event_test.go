package record_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

// envelope is an event as HEC reads it.
type envelope struct {
	Time       json.Number
	Host       string
	Source     string
	Sourcetype string
	Index      string
	Event      json.RawMessage
	Fields     map[string]string
}

// open reads an event, of which nothing may be left over or unknown.
func open(t testing.TB, event []byte) (e envelope) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(event)))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil || d.InputOffset() != int64(len(event)) || !utf8.Valid(event) {
		t.Fatalf("%v, read %d of %d bytes, UTF-8 %t: %q", err, d.InputOffset(), len(event), utf8.Valid(event), event)
	}
	return e
}

// keysOf returns the keys of a flow's event.
func keysOf(t testing.TB, event []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(open(t, event).Event)))
	d.UseNumber()
	m := make(map[string]any)
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%v: %s", err, event)
	}
	return m
}

func TestGoldenEvents(t *testing.T) {
	uid := []byte("0123456789abcdef-17-1048576")
	whole, options := full(t)
	events := record.NewEvents(record.EventConfig{
		Host: "collector-1", Collector: "fra", FlowIndex: "network", VPCFlowIndex: "vpc", JSON: *options,
	})
	var got []byte
	line := func(event []byte) { got = append(append(got, event...), '\n') }
	line(events.AppendFlow(nil, whole, uid))

	ping := web()
	ping.Session = &packet.Session{ID: 2, Name: "vni-7", VNI: 7}
	ping.Addr = [2]packet.Addr{addr("2001:db8::1"), addr("2001:db8::2")}
	ping.Port, ping.Protocol, ping.ICMPType = [2]uint16{}, packet.ProtocolICMPv6, 128
	ping.Side = [2]packet.FlowSide{1: {Packets: 1, Bytes: 104, First: minute + 5000, Last: minute + 5000, Direction: packet.Ingress}}
	line(record.NewEvents(record.EventConfig{}).AppendFlow(nil, ping, nil))

	odd := web()
	odd.Protocol, odd.Port, odd.Source = 143, [2]uint16{}, packet.Addr{}
	odd.Side[0].Direction = packet.DirectionUnknown
	line(events.AppendFlow(nil, odd, uid))

	line(events.AppendVPCFlow(nil, whole, 0, uid))
	v5 := record.NewEvents(record.EventConfig{VPCFlow: record.VPCFlowFields(5)})
	line(v5.AppendVPCFlow(nil, whole, 1, nil))
	line(events.AppendLedger(nil, minute+1000, []byte(`{"frames":12}`), uid))
	golden(t, "testdata/events.json", got)
}

// TestEventKeys: with all there is to know no key is left out, keys are in
// order, and values are of the types they should be.
func TestEventKeys(t *testing.T) {
	r, options := full(t)
	events := record.NewEvents(record.EventConfig{Host: "collector-1", Collector: "fra", JSON: *options})
	tcp := events.AppendFlow(nil, r, []byte("uid"))
	got := keysOf(t, tcp)
	icmp := *r
	icmp.Protocol = packet.ProtocolICMP
	for k, v := range keysOf(t, events.AppendFlow(nil, &icmp, nil)) {
		if strings.HasPrefix(k, "icmp_") {
			got[k] = v
		}
	}
	at := 0
	for _, k := range record.EventKeys() {
		v, found := got[k.Name]
		if !found {
			t.Errorf("%s is missing", k.Name)
			continue
		}
		delete(got, k.Name)
		if want := map[string]string{"string": "string", "integer": "json.Number", "number": "json.Number", "array of strings": "[]interface {}"}[k.Type]; fmt.Sprintf("%T", v) != want {
			t.Errorf("%s is a %s and has %T", k.Name, k.Type, v)
		}
		if i := strings.Index(string(tcp[at:]), `"`+k.Name+`":`); i >= 0 {
			at += i
		} else if !strings.HasPrefix(k.Name, "icmp_") {
			t.Errorf("%s is out of order", k.Name)
		}
	}
	for k := range got {
		t.Errorf("%s is no key", k)
	}
}

// TestEventSums: both ways together are what each way is, and the initiator's
// packets are those that came in.
func TestEventSums(t *testing.T) {
	m := keysOf(t, record.NewEvents(record.EventConfig{}).AppendFlow(nil, web(), nil))
	for key, want := range map[string]string{
		"bytes": "11384", "bytes_in": "2384", "bytes_out": "9000",
		"packets": "22", "packets_in": "12", "packets_out": "10",
		"duration": "58.999749", "direction": "outbound", "lost_bytes": "1448", "retransmitted_segments": "1",
	} {
		if got := fmt.Sprint(m[key]); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if got := fmt.Sprint(m["tcp_flag"]); got != "[SYN ACK FIN PSH]" {
		t.Errorf("tcp_flag is %s", got)
	}
}

// TestEventTime: microseconds survive a reader that knows numbers as float64
// only.
func TestEventTime(t *testing.T) {
	events := record.NewEvents(record.EventConfig{})
	for ns, want := range map[int64]string{
		math.MinInt64: "0.000000", -1: "0.000000", 0: "0.000000", 999: "0.000000", 1000: "0.000001",
		999_999_999: "0.999999", 1e9: "1.000000", 1768471258_999_999_000: "1768471258.999999",
		1768471258_000_001_000: "1768471258.000001", 4102444799_999_999_999: "4102444799.999999",
	} {
		r := web()
		r.Side[0].First, r.Side[0].Last = ns, ns
		r.Side[1] = packet.FlowSide{}
		event := events.AppendFlow(nil, r, nil)
		if got := open(t, event).Time.String(); got != want {
			t.Errorf("%d ns: %s, want %s", ns, got, want)
		}
		var e struct{ Time float64 }
		if err := json.Unmarshal(event, &e); err != nil {
			t.Fatal(err)
		}
		if got := int64(math.Round(e.Time * 1e6)); got != max(ns, 0)/1000 {
			t.Errorf("%d ns: %d µs as float64", ns, got)
		}
		if got := fmt.Sprint(keysOf(t, event)["duration"]); got != "0.000000" {
			t.Errorf("duration of one packet is %s", got)
		}
	}
}

// TestEventBound: with the longest values of all keys the event stays where
// Splunk finds its keys, and the first session keys are there.
func TestEventBound(t *testing.T) {
	r, options := full(t)
	long := strings.Repeat("\x00", 400)
	w := packet.Workload{InterfaceID: "eni-1", ClusterARN: long, Service: long, TaskARN: "/" + long, TaskDefinitionARN: long, SubnetID: long}
	for range 100 {
		w.ContainerIDs = append(w.ContainerIDs, long)
	}
	r.Session = &packet.Session{Name: "session", VNI: 1<<24 - 1, Workload: w}
	wide := packet.AddrFrom(netip.MustParseAddr("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"))
	r.Addr, r.Source, r.Port = [2]packet.Addr{wide, wide}, wide, [2]uint16{65535, 65535}
	for i := range r.Side {
		s := &r.Side[i]
		s.Packets, s.Bytes, s.Retransmitted, s.OutOfOrder = math.MaxUint64/2, math.MaxUint64/2, math.MaxUint64/2, math.MaxUint64/2
		s.Lost, s.Truncated, s.Duplicates, s.TCPFlags = math.MaxUint64/2, math.MaxUint64/2, math.MaxUint64/2, 255
	}
	r.TruncatedLength, r.ServerRTT, r.ClientRTT = 65535, math.MaxInt64, math.MaxInt64
	options.Cause = func(*packet.Session, int) string { return strings.Repeat("c", 64) }
	events := record.NewEvents(record.EventConfig{Host: strings.Repeat("h", 255), Collector: strings.Repeat("\xff", 1<<16), JSON: *options})
	event := open(t, events.AppendFlow(nil, r, []byte(strings.Repeat("u", 64)))).Event
	if len(event) >= 5000 {
		t.Errorf("%d bytes", len(event))
	}
	m := keysOf(t, events.AppendFlow(nil, r, nil))
	if m["session"] != "session" || m["interface_id"] != "eni-1" || m["collector"] != nil || m["ecs_container_ids"] != nil {
		t.Errorf("session keys: %v", m)
	}
}

// TestEventSessions: what is kept of a session is that session's, also after
// more sessions than are kept.
func TestEventSessions(t *testing.T) {
	events := record.NewEvents(record.EventConfig{})
	var sessions []*packet.Session
	for i := range 5000 {
		sessions = append(sessions, &packet.Session{Name: fmt.Sprintf("s%d", i), VNI: uint32(i)})
	}
	r := web()
	for range 2 {
		for i, s := range sessions {
			r.Session = s
			if m := string(events.AppendFlow(nil, r, nil)); !strings.Contains(m, fmt.Sprintf(`"session":"s%d","vni":%d}}`, i, i)) {
				t.Fatalf("session %d: %s", i, m)
			}
		}
	}
}

func TestAppendLedger(t *testing.T) {
	events := record.NewEvents(record.EventConfig{LedgerIndex: "ops"})
	for in, want := range map[string]string{
		`{"a":1}`: `{"a":1}`, "{\"a\":\n1}": "{\"a\":\n1}", `{"a":`: `"{\"a\":"`, `{}{}`: `"{}{}"`,
		"null": `"null"`, "[1]": `"[1]"`, "{\"a\":\"\xff\"}": `"{\"a\":\"` + "\ufffd" + `\"}"`,
	} {
		e := open(t, events.AppendLedger(nil, minute, []byte(in), []byte("u")))
		if string(e.Event) != want || e.Index != "ops" || e.Sourcetype != record.LedgerSourcetype || e.Fields["event_uid"] != "u" {
			t.Errorf("%q: %s, %+v", in, e.Event, e)
		}
	}
	for _, blank := range []string{"", " \n"} {
		if got := events.AppendLedger([]byte("x"), minute, []byte(blank), nil); string(got) != "x" {
			t.Errorf("%q gives %q", blank, got)
		}
	}
}

// TestVPCFlowVersions: the add-on tells formats by version and number of
// fields.
func TestVPCFlowVersions(t *testing.T) {
	for version, fields := range map[int]int{2: 14, 5: 29} {
		f := record.VPCFlowFields(version)
		if got := len(strings.Fields(f.Header())); got != fields || f.Version() != version {
			t.Errorf("version %d: %d fields of version %d", version, got, f.Version())
		}
		e := open(t, record.NewEvents(record.EventConfig{VPCFlow: f}).AppendVPCFlow(nil, web(), 0, nil))
		var line string
		if err := json.Unmarshal(e.Event, &line); err != nil || len(strings.Split(line, " ")) != fields || line[0] != byte('0'+version) {
			t.Errorf("version %d: %v, %q", version, err, line)
		}
	}
}

func TestEventAllocations(t *testing.T) {
	events := record.NewEvents(record.EventConfig{Host: "collector-1"})
	r, dst, uid := web(), make([]byte, 0, 4096), []byte("0123456789abcdef0123456789abcdef-17-1048576")
	if n := testing.AllocsPerRun(100, func() {
		dst = events.AppendFlow(dst[:0], r, uid)
		dst = events.AppendVPCFlow(dst[:0], r, 0, uid)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestPageEvents holds the page's table.
func TestPageEvents(t *testing.T) {
	var want []string
	for _, k := range record.EventKeys() {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", k.Name, k.Type, k.Meaning))
	}
	same(t, section(t, "### Event keys"), want)
}

func FuzzEvents(f *testing.F) {
	f.Add("collector-1", "fargate", []byte("uid-1"), []byte(`{"a":1}`), uint8(6), int64(minute))
	f.Add("\xff\"\\\n", "\u2028\x00</script>", []byte("\"\xc3"), []byte("\x00"), uint8(58), int64(-1))
	f.Fuzz(func(t *testing.T, host, name string, uid, doc []byte, protocol uint8, at int64) {
		events := record.NewEvents(record.EventConfig{Host: host, Source: name, Collector: name, FlowIndex: host, VPCFlowIndex: name, LedgerIndex: name})
		r := web()
		r.Session.Name, r.Session.Workload.InterfaceID, r.Session.Workload.ContainerIDs = name, host, []string{name, host}
		r.Protocol, r.Side[0].First, r.Side[1].Last = protocol, at, at
		if m := keysOf(t, events.AppendFlow(nil, r, uid)); len(uid) > 0 && m["event_uid"] != strings.ToValidUTF8(string(uid), "") && utf8.Valid(uid) {
			t.Errorf("event_uid %q of %q", m["event_uid"], uid)
		}
		open(t, events.AppendVPCFlow(nil, r, 0, uid))
		if event := events.AppendLedger(nil, at, doc, uid); len(event) > 0 {
			open(t, event)
		}
	})
}
