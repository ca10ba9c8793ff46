package record_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

// full returns a flow and options with which no key is left out.
func full(t testing.TB) (*packet.Flow, *record.JSON) {
	t.Helper()
	ranges, err := record.LoadRanges("testdata/ip-ranges.json")
	if err != nil {
		t.Fatal(err)
	}
	r := web()
	w := &r.Session.Workload
	w.InstanceID = "i-1"
	w.ClusterARN = "arn:aws:ecs:eu-central-1:111122223333:cluster/prod"
	w.TaskDefinitionARN = "arn:aws:ecs:eu-central-1:111122223333:task-definition/web:7"
	w.ContainerInstARN = "arn:aws:ecs:eu-central-1:111122223333:container-instance/prod/0011"
	w.ContainerIDs = []string{"aaaa", "bbbb", "cccc"}
	r.Addr[0] = addr("198.51.100.65")
	r.TruncatedLength = 128
	r.Side[0].Truncated, r.Side[1].Duplicates = 3, 4
	cause := func(s *packet.Session, length int) string {
		if s != r.Session || length != 128 {
			t.Errorf("cause of %v at %d", s, length)
		}
		return "snap length"
	}
	return r, &record.JSON{Ranges: ranges, Cause: cause}
}

// TestGoldenJSON shows records of several kinds as they are written.
func TestGoldenJSON(t *testing.T) {
	whole, options := full(t)
	got := record.AppendJSON(nil, whole, options)

	ping := web()
	ping.Session = &packet.Session{ID: 2, Name: "vni-7", VNI: 7}
	ping.Source = packet.Addr{}
	ping.Addr = [2]packet.Addr{addr("2001:db8::1"), addr("2001:db8::2")}
	ping.Port, ping.Protocol, ping.ICMPType = [2]uint16{}, packet.ProtocolICMPv6, 128
	ping.Side = [2]packet.FlowSide{1: {Packets: 1, Bytes: 104, FrameBytes: 118, First: minute + 5, Last: minute + 5, Direction: packet.Ingress}}
	ping.ServerRTT, ping.ClientRTT, ping.Reason = 0, 0, packet.FlowInterval
	got = record.AppendJSON(got, ping, nil)

	dns := web()
	dns.Protocol, dns.Class, dns.ServerRTT, dns.ClientRTT = packet.ProtocolUDP, packet.AmazonDNS, 0, 0
	dns.Side[0].Direction, dns.Side[1].Direction = 0, 0
	got = record.AppendJSON(got, dns, &record.JSON{})

	gre := web()
	gre.Protocol, gre.Port = 47, [2]uint16{}
	got = record.AppendJSON(got, gre, nil)

	got = record.AppendJSONStatus(got, whole.Session, minute, minute+60e9, record.NoData)
	got = record.AppendJSONStatus(got, ping.Session, minute, minute+60e9, record.SkipData)
	golden(t, "testdata/flows.json", got)
}

// TestKeys: with all there is to know no key is left out, and values are of
// the types they should be.
func TestKeys(t *testing.T) {
	decode := func(line []byte) map[string]any {
		d := json.NewDecoder(strings.NewReader(string(line)))
		d.UseNumber()
		m := make(map[string]any)
		if err := d.Decode(&m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		return m
	}
	r, options := full(t)
	tcp := decode(record.AppendJSON(nil, r, options))
	r.Protocol, r.ICMPType, r.ICMPCode = packet.ProtocolICMP, 3, 1
	icmp := decode(record.AppendJSON(nil, r, options))

	seen := make(map[string]bool)
	for _, k := range record.Keys() {
		if seen[k.Name] {
			t.Errorf("%s is there twice", k.Name)
		}
		seen[k.Name] = true
		value, ok := tcp[k.Name]
		if !ok {
			value, ok = icmp[k.Name]
		}
		if !ok {
			t.Errorf("%s is never there", k.Name)
			continue
		}
		switch k.Type {
		case "string":
			if _, ok := value.(string); !ok {
				t.Errorf("%s is %T", k.Name, value)
			}
		case "integer":
			n, ok := value.(json.Number)
			if _, err := n.Int64(); !ok || err != nil {
				t.Errorf("%s is %T %v", k.Name, value, value)
			}
		case "time":
			s, _ := value.(string)
			if _, err := time.Parse(time.RFC3339Nano, s); err != nil || len(s) != len("2026-01-15T10:00:00.000250Z") {
				t.Errorf("%s is %v", k.Name, value)
			}
		case "array of strings":
			if a, ok := value.([]any); !ok || len(a) != 3 {
				t.Errorf("%s is %T %v", k.Name, value, value)
			}
		default:
			t.Errorf("%s has type %q", k.Name, k.Type)
		}
	}
	for name := range tcp {
		if !seen[name] {
			t.Errorf("%s is no key", name)
		}
	}
}

// TestTimes compares with the standard library's, at the edges of what an int64
// holds too.
func TestTimes(t *testing.T) {
	for _, ns := range []int64{0, 1, 999, 1000, 999_999_999, minute, minute + 250_000, -1, 951_782_399_999_999_999,
		951_782_400_000_000_000, 1_709_164_800_000_000_000, 4_102_444_799_999_999_000, -1 << 63, 1<<63 - 1} {
		r := web()
		r.Begin = ns
		want := `"interval_begin":"` + time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000Z") + `"`
		if got := string(record.AppendJSON(nil, r, nil)); !strings.Contains(got, want) {
			t.Errorf("%d: want %s in %s", ns, want, got)
		}
	}
}

// TestFirstAndLast: of a flow both ways, or one way only.
func TestFirstAndLast(t *testing.T) {
	const early, late = minute + 1e9, minute + 2e9
	side := func(first, last int64) packet.FlowSide { return packet.FlowSide{Packets: 2, First: first, Last: last} }
	for _, tt := range []struct {
		name  string
		sides [2]packet.FlowSide
		want  string
	}{
		{"initiator around", [2]packet.FlowSide{side(early, late), side(early+1e3, late-1e3)}, "01.000000Z 02.000000Z"},
		{"responder around", [2]packet.FlowSide{side(early+1e3, late-1e3), side(early, late)}, "01.000000Z 02.000000Z"},
		{"initiator only", [2]packet.FlowSide{0: side(early, late)}, "01.000000Z 02.000000Z"},
		{"responder only", [2]packet.FlowSide{1: side(early, late)}, "01.000000Z 02.000000Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := web()
			r.Side = tt.sides
			var m struct {
				First string `json:"first_packet_at"`
				Last  string `json:"last_packet_at"`
			}
			if err := json.Unmarshal(record.AppendJSON(nil, r, nil), &m); err != nil {
				t.Fatal(err)
			}
			const to = len("2026-01-15T10:00:")
			if got := m.First[to:] + " " + m.Last[to:]; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// FuzzJSONStrings: whatever a session file says, a record is one line of valid
// JSON in valid UTF-8, and says the same.
func FuzzJSONStrings(f *testing.F) {
	for _, s := range []string{"web", `a"b\c`, "\x00\x1f\x7f\n", "ä€😀", "\xff\xc3", "\u2028<&>", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := web()
		r.Session.Name, r.Session.Workload.ContainerIDs = s, []string{s, "b"}
		line := record.AppendJSON(nil, r, nil)
		if !utf8.Valid(line) || strings.Count(string(line), "\n") != 1 || line[len(line)-1] != '\n' {
			t.Fatalf("not a line of UTF-8: %q", line)
		}
		var m struct {
			Session string   `json:"session"`
			IDs     []string `json:"ecs_container_ids"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		// Each byte at fault becomes U+FFFD, as in []rune.
		if want := string([]rune(s)); m.Session != want || s != "" && m.IDs[0] != want || m.IDs[len(m.IDs)-1] != "b" {
			t.Errorf("%q became %q and %q", s, m.Session, m.IDs)
		}
	})
}

func TestJSONAllocations(t *testing.T) {
	r, options := full(t)
	dst := make([]byte, 0, 8192)
	if n := testing.AllocsPerRun(100, func() { dst = record.AppendJSON(dst[:0], r, options) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
