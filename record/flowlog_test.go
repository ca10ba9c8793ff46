package record_test

import (
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

func parse(t testing.TB, format string) *record.Fields {
	t.Helper()
	f, err := record.ParseFields(format)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAppendFlow(t *testing.T) {
	for _, tt := range []struct {
		name, format string
		side         int
		want         string
	}{
		{"default, initiator", "", 0,
			"2 111122223333 eni-0a1b2c3d4e5f60718 10.0.1.163 203.0.113.9 44321 443 6 12 2384 1768471200 1768471258 ACCEPT OK"},
		{"default, responder", "", 1,
			"2 111122223333 eni-0a1b2c3d4e5f60718 203.0.113.9 10.0.1.163 443 44321 6 10 9000 1768471200 1768471257 ACCEPT OK"},
		{"versions 3 to 7", "${version} ${interface-id} ${vpc-id} ${subnet-id} ${instance-id} ${tcp-flags} ${type} ${region} ${az-id} " +
			"${flow-direction} ${traffic-path} ${ecs-cluster-name} ${ecs-service-name} ${ecs-task-id} ${ecs-container-instance-id}", 0,
			"7 eni-0a1b2c3d4e5f60718 vpc-1 subnet-1 - 3 IPv4 eu-central-1 euc1-az2 egress - " +
				"prod web 0123456789abcdef0123456789abcdef -"},
		{"what packets do not tell", "${sublocation-type} ${reject-reason} ${resource-id} ${encryption-status} ${instance-tag} ${next-hop-vpc-id} ${version}",
			1, "- - - - - - 11"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(t, tt.format).AppendFlow([]byte("before\n"), web(), tt.side)
			if string(got) != "before\n"+tt.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAppendStatus(t *testing.T) {
	const begin, end = minute, minute + 60e9
	for _, tt := range []struct {
		name, format string
		begin, end   int64
		status       string
		want         string
	}{
		{"no data", "", begin, end, record.NoData, "2 111122223333 eni-0a1b2c3d4e5f60718 - - - - - - - 1768471200 1768471259 - NODATA"},
		{"skip data", "", end, end + 60e9, record.SkipData, "2 111122223333 eni-0a1b2c3d4e5f60718 - - - - - - - 1768471260 1768471319 - SKIPDATA"},
		{"every kind of field", "${log-status} ${vpc-id} ${type} ${tcp-flags} ${flow-direction} ${pkt-src-aws-service} ${region} ${ecs-service-name} ${asg-tag} ${version}",
			begin, end, record.NoData, "NODATA vpc-1 - - - - eu-central-1 web - 11"},
		{"ends within a second", "${start} ${end}", begin, begin + 1, record.NoData, "1768471200 1768471200"},
		{"ends with a second", "${start} ${end}", begin, begin + 1e9, record.NoData, "1768471200 1768471200"},
		{"ends behind a second", "${start} ${end}", begin, begin + 1e9 + 1, record.NoData, "1768471200 1768471201"},
		{"ends where it begins", "${start} ${end}", begin, begin, record.NoData, "1768471200 1768471200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(t, tt.format).AppendStatus(nil, web().Session, tt.begin, tt.end, tt.status)
			if string(got) != tt.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestUnknownSession: of a VNI that no session file explains nothing is known.
func TestUnknownSession(t *testing.T) {
	r := web()
	r.Session = &packet.Session{ID: 2, Name: "vni-7", VNI: 7}
	got := parse(t, "${account-id} ${interface-id} ${region} ${ecs-task-id} ${traffic-path}").AppendFlow(nil, r, 0)
	if string(got) != "unknown - - - -\n" {
		t.Errorf("got %s", got)
	}
}

func TestTCPFlags(t *testing.T) {
	for _, tt := range []struct {
		name     string
		protocol uint8
		side     packet.FlowSide
		want     string
	}{
		{"none", packet.ProtocolTCP, packet.FlowSide{}, "0"},
		{"ack alone", packet.ProtocolTCP, packet.FlowSide{TCPFlags: ack}, "0"},
		{"psh and urg", packet.ProtocolTCP, packet.FlowSide{TCPFlags: psh | urg | ack}, "0"},
		{"fin", packet.ProtocolTCP, packet.FlowSide{TCPFlags: fin | ack}, "1"},
		{"syn", packet.ProtocolTCP, packet.FlowSide{TCPFlags: syn}, "2"},
		{"syn with ece and cwr", packet.ProtocolTCP, packet.FlowSide{TCPFlags: syn | ece | cwr}, "2"},
		{"syn, later fin", packet.ProtocolTCP, packet.FlowSide{TCPFlags: syn | ack | fin}, "3"},
		{"rst", packet.ProtocolTCP, packet.FlowSide{TCPFlags: rst}, "4"},
		{"syn, later rst", packet.ProtocolTCP, packet.FlowSide{TCPFlags: syn | rst}, "6"},
		{"syn-ack", packet.ProtocolTCP, packet.FlowSide{TCPFlags: syn | ack, SYNACK: true}, "18"},
		{"syn-ack, later fin", packet.ProtocolTCP, packet.FlowSide{TCPFlags: syn | ack | fin, SYNACK: true}, "19"},
		{"syn-ack, later rst", packet.ProtocolTCP, packet.FlowSide{TCPFlags: syn | ack | rst, SYNACK: true}, "22"},
		{"all", packet.ProtocolTCP, packet.FlowSide{TCPFlags: 0xff, SYNACK: true}, "23"},
		{"syn with fin in one packet", packet.ProtocolTCP, packet.FlowSide{TCPFlags: syn | fin, BadFlags: true}, "-"},
		{"udp", packet.ProtocolUDP, packet.FlowSide{}, "0"},
		{"flags left over in udp", packet.ProtocolUDP, packet.FlowSide{TCPFlags: fin, BadFlags: true}, "0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := web()
			r.Protocol, r.Side[0] = tt.protocol, tt.side
			if got := parse(t, "${tcp-flags}").AppendFlow(nil, r, 0); string(got) != tt.want+"\n" {
				t.Errorf("got %swant %s", got, tt.want)
			}
		})
	}
}

// TestAddresses: srcaddr and dstaddr are the interface's own address on its
// side, pkt-srcaddr and pkt-dstaddr what is in the packets.
func TestAddresses(t *testing.T) {
	own := []packet.Addr{addr("2001:db8:a::1"), addr("10.0.1.163"), addr("10.0.1.200"), addr("2001:db8:a::2")}
	for _, tt := range []struct {
		name      string
		addresses []packet.Addr
		src, dst  string
		direction packet.Direction
		want      string
	}{
		{"egress, primary", own, "10.0.1.163", "192.0.2.1", packet.Egress, "10.0.1.163 192.0.2.1"},
		{"egress, secondary", own, "10.0.1.200", "192.0.2.1", packet.Egress, "10.0.1.200 192.0.2.1"},
		{"egress, passed through", own, "172.16.0.9", "192.0.2.1", packet.Egress, "10.0.1.163 192.0.2.1"},
		{"ingress, primary", own, "192.0.2.1", "10.0.1.163", packet.Ingress, "192.0.2.1 10.0.1.163"},
		{"ingress, secondary", own, "192.0.2.1", "10.0.1.200", packet.Ingress, "192.0.2.1 10.0.1.163"},
		{"ingress, passing through", own, "192.0.2.1", "172.16.0.9", packet.Ingress, "192.0.2.1 10.0.1.163"},
		{"egress, other IPv6", own, "2001:db8:a::2", "2001:db8::9", packet.Egress, "2001:db8:a::2 2001:db8::9"},
		{"ingress, other IPv6", own, "2001:db8::9", "2001:db8:a::2", packet.Ingress, "2001:db8::9 2001:db8:a::2"},
		{"ingress, multicast", own, "fe80::1", "ff02::1", packet.Ingress, "fe80::1 2001:db8:a::1"},
		{"egress from the unspecified address", own, "::", "ff02::16", packet.Egress, "2001:db8:a::1 ff02::16"},
		{"direction unknown", own, "172.16.0.9", "10.0.1.200", packet.DirectionUnknown, "172.16.0.9 10.0.1.200"},
		{"addresses unknown", nil, "172.16.0.9", "10.0.1.200", packet.Ingress, "172.16.0.9 10.0.1.200"},
		{"unspecified, addresses unknown", nil, "::", "ff02::16", packet.Egress, ":: ff02::16"},
		{"no address of the family", own[1:2], "2001:db8::9", "2001:db8:a::2", packet.Ingress, "2001:db8::9 2001:db8:a::2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := web()
			r.Session.Addresses = tt.addresses
			r.Addr = [2]packet.Addr{addr(tt.src), addr(tt.dst)}
			r.Side[0].Direction = tt.direction
			kind := "IPv4"
			if strings.Contains(tt.src, ":") {
				kind = "IPv6"
			}
			got := parse(t, "${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dstaddr} ${type}").AppendFlow(nil, r, 0)
			if want := tt.want + " " + tt.src + " " + tt.dst + " " + kind + "\n"; string(got) != want {
				t.Errorf("got  %swant %s", got, want)
			}
		})
	}
}

func TestTrafficPath(t *testing.T) {
	for _, tt := range []struct {
		name, dst string
		direction packet.Direction
		want      string
	}{
		{"first address of the VPC", "10.0.0.0", packet.Egress, "1"},
		{"last address of the VPC", "10.0.255.255", packet.Egress, "1"},
		{"before it", "9.255.255.255", packet.Egress, "-"},
		{"after it", "10.1.0.0", packet.Egress, "-"},
		{"second range", "2001:db8:a:ff::1", packet.Egress, "1"},
		{"ingress", "10.0.0.1", packet.Ingress, "-"},
		{"direction unknown", "10.0.0.1", packet.DirectionUnknown, "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := web()
			r.Addr[1], r.Side[0].Direction = addr(tt.dst), tt.direction
			if got := parse(t, "${traffic-path}").AppendFlow(nil, r, 0); string(got) != tt.want+"\n" {
				t.Errorf("got %swant %s", got, tt.want)
			}
		})
	}
}

// TestTextBreaksNoLine: whatever a session file says, a line has as many values
// as it should.
func TestTextBreaksNoLine(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"ordinary", "web-1_a.b/c:d", "web-1_a.b/c:d"},
		{"space", "my service", "my%20service"},
		{"newline", "a\nb\r", "a%0Ab%0D"},
		{"tab and del", "\t\x7f", "%09%7F"},
		{"percent", "100%", "100%25"},
		{"umlaut", "ä", "%C3%A4"},
		{"line separator", "\u2028", "%E2%80%A8"},
		{"not UTF-8", "\xff", "%FF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := web()
			r.Session.Workload.Service = tt.value
			f := parse(t, "${ecs-service-name} ${bytes}")
			if got := f.AppendFlow(nil, r, 0); string(got) != tt.want+" 2384\n" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWithRanges(t *testing.T) {
	ranges, err := record.LoadRanges("testdata/ip-ranges.json")
	if err != nil {
		t.Fatal(err)
	}
	plain := parse(t, "${pkt-src-aws-service} ${pkt-dst-aws-service}")
	f := plain.WithRanges(ranges)
	for side, want := range []string{"- CLOUDFRONT\n", "CLOUDFRONT -\n"} {
		if got := f.AppendFlow(nil, web(), side); string(got) != want {
			t.Errorf("side %d: got %q, want %q", side, got, want)
		}
	}
	if got := plain.AppendFlow(nil, web(), 0); string(got) != "- -\n" {
		t.Errorf("without ranges: got %q", got)
	}
}

func TestFlowLogAllocations(t *testing.T) {
	ranges, err := record.LoadRanges("testdata/ip-ranges.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range record.FlowFields() {
		all = append(all, "${"+f.Name+"}")
	}
	f := parse(t, strings.Join(all, " ")).WithRanges(ranges)
	r, dst := web(), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		dst = f.AppendFlow(dst[:0], r, 0)
		dst = f.AppendStatus(dst, r.Session, r.Begin, r.End, record.SkipData)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
