package judge

import (
	"net/netip"
	"testing"
)

func TestCompareLinesSeesDifferences(t *testing.T) {
	a, b := netip.MustParseAddrPort("10.0.0.1:5"), netip.MustParseAddrPort("10.0.0.2:80")
	line := Line{Interface: "eni-1", Protocol: 6, From: a, To: b, Packets: 3, Bytes: 300, Start: 100, End: 110, Flags: 3, Direction: "egress"}
	back := line
	back.From, back.To, back.Direction = b, a, "ingress"
	for _, c := range []struct {
		name   string
		change func(*Line)
		errs   bool
	}{
		{"nothing", func(*Line) {}, false},
		{"start by a second", func(l *Line) { l.Start++ }, false},
		{"start by two seconds", func(l *Line) { l.Start += 2 }, true},
		{"end by a second", func(l *Line) { l.End-- }, false},
		{"end by two seconds", func(l *Line) { l.End -= 2 }, true},
		{"packets", func(l *Line) { l.Packets++ }, true},
		{"bytes", func(l *Line) { l.Bytes-- }, true},
		{"flags", func(l *Line) { l.Flags |= 4 }, true},
		{"direction", func(l *Line) { l.Direction = "ingress" }, true},
		{"interface", func(l *Line) { l.Interface = "-" }, true},
		{"protocol", func(l *Line) { l.Protocol = 17 }, true},
		{"port", func(l *Line) { l.From = netip.MustParseAddrPort("10.0.0.1:6") }, true},
		{"lost bytes", func(l *Line) { l.LostBytes = 1 }, true},
	} {
		got := line
		c.change(&got)
		s := &silent{TB: t}
		CompareLines(s, c.name, []Line{back, got}, []Line{line, back})
		if (s.errors > 0) != c.errs {
			t.Errorf("%s: %d errors", c.name, s.errors)
		}
	}
}

// A flow may take several lines.
func TestCompareLinesPutsLinesTogether(t *testing.T) {
	whole := Line{Packets: 3, Bytes: 300, Start: 100, End: 200, Flags: 7}
	parts := []Line{{Packets: 1, Bytes: 100, Start: 160, End: 200, Flags: 5}, {Packets: 2, Bytes: 200, Start: 100, End: 159, Flags: 2}}
	if n := CompareLines(t, "parts", parts, []Line{whole}); n != 1 {
		t.Errorf("%d flows, want 1", n)
	}
}

func TestParseLines(t *testing.T) {
	text := parseText(t, "eni-1 10.0.0.1 10.0.0.2 5 80 6 3 300 100 110 3 egress OK")
	json := parseJSON(t, `{"interval_begin":"1970-01-01T00:01:00.000000Z","protocol":6,"direction":"egress","interface_id":"eni-1",`+
		`"initiator_address":"10.0.0.1","initiator_port":5,"initiator_packets":3,"initiator_bytes":300,"initiator_tcp_flags":"FS",`+
		`"initiator_first_packet_at":"1970-01-01T00:01:40.9Z","initiator_last_packet_at":"1970-01-01T00:01:50.000001Z",`+
		`"responder_address":"10.0.0.2","responder_port":80,"responder_packets":0,"responder_bytes":0,"responder_lost_bytes":7}`)
	a, b := netip.MustParseAddrPort("10.0.0.1:5"), netip.MustParseAddrPort("10.0.0.2:80")
	want := Line{Interface: "eni-1", Protocol: 6, From: a, To: b, Packets: 3, Bytes: 300, Start: 100, End: 110, Flags: 3, Direction: "egress"}
	if len(text) != 1 || text[0] != want {
		t.Errorf("text: %+v, want %+v", text, want)
	}
	if len(json) != 2 || json[0] != want || json[1].LostBytes != 7 || json[1].Direction != "ingress" || json[1].From != b {
		t.Errorf("JSON: %+v, want %+v and 7 bytes lost the other way", json, want)
	}
	for _, line := range []string{
		"interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end tcp-flags flow-direction log-status",
		"eni-1 - - - - - - - 60 120 - - NODATA",
	} {
		if got := parseText(t, line); got != nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
	if got := parseJSON(t, `{"log_status":"SKIPDATA"}`); got != nil {
		t.Errorf("status in JSON: %+v", got)
	}
}
