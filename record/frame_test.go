package record_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

// Frames by what is odd about them, in hexadecimal, layer by layer.
var (
	ethernet = "0a5053000001 0a5053000002 "
	ipv4     = "45 00 0038 1234 0000 40 06 0000 0a0001a3 cb007109 "

	tcpTagged = ethernet + "88a8 0064 8100 00c8 0800 " + ipv4 +
		"ad21 01bb 00000001 00000000 5018 ffff 0000 0000" + hex.EncodeToString([]byte("GET / HTTP/1.1\r\n"))
	icmpPadded = ethernet + "0800 45 00 001c 0001 0000 40 01 0000 cb007109 0a0001a3 " +
		"00 03 0000 0001 0002" + strings.Repeat("00", 18)
	fragment = ethernet + "0800 45 00 0020 beef 2001 40 11 0000 0a0001a3 cb007109 " + "000102030405060708090a0b"
	udp6     = ethernet + "86dd 60000000 0204 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002 " +
		"d431 0035 0204 0000 abcd"
	sctpCut = ethernet + "0800 45 00 0040 0001 0000 40 84 0000 0a0001a3 cb007109 " + "0b59"
	arp     = ethernet + "0806 0001 0800 06 04 0001 0a5053000002 0a0001a3 000000000000 0a000101" + strings.Repeat("00", 18)
	lldp    = ethernet + "88cc 020704"
	runt    = "0a5053"
	gre     = ethernet + "0800 45 00 0018 0001 0000 40 2f 0000 0a0001a3 cb007109 " + "00006558"
)

// frameOf decodes a frame that was sent by the mirrored interface.
func frameOf(t testing.TB, digits string) *packet.Frame {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	f := &packet.Frame{
		Data: data, Length: len(data), Time: minute + 1_234_567_890, Source: addr("10.0.1.163"),
		Session: web().Session, Direction: packet.Egress,
	}
	decode.Decode(f)
	return f
}

func eventOf(events *record.Events, from *packet.Frame, payload int) []byte {
	var f record.Frame
	f.Set(from, payload)
	return events.AppendFrame(nil, &f, []byte("0123456789abcdef-17-1048576"))
}

// TestGoldenFrames also holds that each key is in one of the events, in order,
// and of its type.
func TestGoldenFrames(t *testing.T) {
	options := record.JSON{Cause: func(*packet.Session, int) string { return "snap length" }}
	events := record.NewEvents(record.EventConfig{Host: "collector-1", Collector: "fra", FrameIndex: "frames", JSON: options})
	whole, _ := full(t)
	var got []byte
	missing := make(map[string]bool)
	for _, k := range record.FrameKeys() {
		missing[k.Name] = true
	}
	for i, digits := range []string{tcpTagged, icmpPadded, fragment, udp6, sctpCut, arp, lldp, runt, gre} {
		f := frameOf(t, digits)
		f.Direction = packet.Direction(i % int(packet.NumDirections))
		if i == 0 {
			f.Session = whole.Session
		}
		event := eventOf(events, f, 16)
		got = append(append(got, event...), '\n')
		keys := keysOf(t, event)
		at := 0
		for _, k := range record.FrameKeys() {
			v, found := keys[k.Name]
			if !found {
				continue
			}
			delete(missing, k.Name)
			delete(keys, k.Name)
			if want := map[string]string{"string": "string", "integer": "json.Number", "array of strings": "[]interface {}"}[k.Type]; fmt.Sprintf("%T", v) != want {
				t.Errorf("%s is a %s and has %T", k.Name, k.Type, v)
			}
			next := strings.Index(string(event[at:]), `"`+k.Name+`":`)
			if next < 0 {
				t.Fatalf("%s is out of order: %s", k.Name, event)
			}
			at += next
		}
		for k := range keys {
			t.Errorf("%s is no key", k)
		}
	}
	for k := range missing {
		t.Errorf("%s is in no event", k)
	}
	golden(t, "testdata/frames.json", got)
}

// TestFramePayload: never more than was asked for, was captured, fits, or
// belongs to the packet.
func TestFramePayload(t *testing.T) {
	jumbo := frameOf(t, ethernet+"0800 45 00 012c 0001 0000 40 11 0000 0a0001a3 cb007109 d431 0035 0118 0000"+strings.Repeat("ab", 272))
	cut := frameOf(t, udp6)
	for _, tt := range []struct {
		name        string
		f           *packet.Frame
		asked, want int
		bytes       string
	}{
		{"none asked for", jumbo, 0, 0, "272"},
		{"less than none", jumbo, math.MinInt, 0, "272"},
		{"one", jumbo, 1, 1, "272"},
		{"one less than fits", jumbo, 255, 255, "272"},
		{"what fits", jumbo, 256, 256, "272"},
		{"more than fits", jumbo, 257, 256, "272"},
		{"any", jumbo, math.MaxInt, 256, "272"},
		{"what was captured", cut, 256, 2, "508"},
		{"no padding", frameOf(t, icmpPadded), 256, 0, "0"},
		{"nothing of ARP", frameOf(t, arp), 256, 0, "0"},
		{"behind Ethernet", frameOf(t, lldp), 256, 3, "3"},
		{"nothing was read", frameOf(t, runt), 256, 0, "0"},
	} {
		keys := keysOf(t, eventOf(record.NewEvents(record.EventConfig{}), tt.f, tt.asked))
		text, _ := keys["payload"].(string)
		got, err := base64.StdEncoding.DecodeString(text)
		begin := int(tt.f.Header.Payload)
		if err != nil || len(got) != tt.want || string(got) != string(tt.f.Data[begin:begin+len(got)]) {
			t.Errorf("%s: %v, %x, want %d bytes", tt.name, err, got, tt.want)
		}
		if got := fmt.Sprint(keys["payload_bytes"]); got != tt.bytes {
			t.Errorf("%s: of %s bytes, want %s", tt.name, got, tt.bytes)
		}
	}
}

// TestFrameIsCopied: what is set does not change with the capture's memory, and
// keeps nothing of the frame before.
func TestFrameIsCopied(t *testing.T) {
	events := record.NewEvents(record.EventConfig{})
	from := frameOf(t, tcpTagged)
	want := string(eventOf(events, from, 256))
	var f record.Frame
	f.Set(frameOf(t, "ffffffffffffffffffffffff 88cc"+strings.Repeat("ff", 300)), 256)
	f.Set(from, 256)
	clear(from.Data)
	from.Header = packet.Header{}
	if got := string(events.AppendFrame(nil, &f, []byte("0123456789abcdef-17-1048576"))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if size := reflect.TypeFor[record.Frame]().Size(); size != 376 {
		t.Errorf("a Frame has %d bytes, not what its comment says", size)
	}
}

// TestFrameCommunityID: a frame has that of its flow, whoever sent it.
func TestFrameCommunityID(t *testing.T) {
	ping := &packet.Flow{Addr: [2]packet.Addr{addr("10.0.1.163"), addr("203.0.113.9")}, Protocol: packet.ProtocolICMP, ICMPType: 8}
	other := &packet.Flow{Addr: ping.Addr, Protocol: 47}
	for name, tt := range map[string]struct {
		frame string
		flow  *packet.Flow
	}{"tcp": {tcpTagged, web()}, "icmp": {icmpPadded, ping}, "gre": {gre, other}} {
		want := string(record.AppendCommunityID(nil, tt.flow))
		if got := keysOf(t, eventOf(record.NewEvents(record.EventConfig{}), frameOf(t, tt.frame), 0))["community_id"]; got != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

// TestFrameBound: with the longest payload and session the event stays where
// Splunk finds its keys.
func TestFrameBound(t *testing.T) {
	f := frameOf(t, udp6+strings.Repeat("ab", 500))
	f.Length = math.MaxInt32
	f.Session = &packet.Session{Name: strings.Repeat("\x00", 400), Workload: packet.Workload{ClusterARN: strings.Repeat("\x00", 600)}}
	events := record.NewEvents(record.EventConfig{Host: strings.Repeat("h", 255), Collector: strings.Repeat("c", 255)})
	if event := open(t, eventOf(events, f, 256)).Event; len(event) >= 5000 {
		t.Errorf("%d bytes", len(event))
	}
}

func TestFrameAllocations(t *testing.T) {
	events := record.NewEvents(record.EventConfig{Host: "collector-1"})
	var f record.Frame
	from, dst, uid := frameOf(t, tcpTagged), make([]byte, 0, 4096), []byte("0123456789abcdef-17-1048576")
	if n := testing.AllocsPerRun(100, func() {
		f.Set(from, 256)
		dst = events.AppendFrame(dst[:0], &f, uid)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestPageFrames holds the page's table.
func TestPageFrames(t *testing.T) {
	var want []string
	for _, k := range record.FrameKeys() {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", k.Name, k.Type, k.Meaning))
	}
	same(t, section(t, "### Frame keys"), want)
}

// FuzzFrame: any bytes give an event in which the keys are each once and the
// payload is of the frame.
func FuzzFrame(f *testing.F) {
	for i, digits := range []string{tcpTagged, icmpPadded, fragment, udp6, sctpCut, arp, lldp, runt, gre, ""} {
		f.Add(frameOf(f, digits).Data, i*100, uint16(i*30))
	}
	f.Fuzz(func(t *testing.T, data []byte, missing int, payload uint16) {
		from := &packet.Frame{Data: data, Length: len(data) + missing&0xffff, Session: &packet.Session{Name: string(data)}}
		decode.Decode(from)
		keys := keysOf(t, eventOf(record.NewEvents(record.EventConfig{}), from, int(payload)))
		text, _ := keys["payload"].(string)
		got, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(got) > min(int(payload), record.MaxFramePayload) || !strings.Contains(string(data), string(got)) {
			t.Errorf("%v, payload %x of %x", err, got, data)
		}
		if from.Length > len(data) != (keys["truncated_length_bytes"] != nil) {
			t.Errorf("truncated_length_bytes %v, %d of %d bytes", keys["truncated_length_bytes"], len(data), from.Length)
		}
	})
}
