package judge

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
)

// Each thing that is compared makes a difference.
func TestCompareSeesDifferences(t *testing.T) {
	var tcp4 []byte
	for stacks := traffic.NewStacks(1); len(tcp4) == 0 || stacks.Name() != "qinq/ipv4/tcp"; {
		tcp4 = stacks.Append(nil)
	}
	path := filepath.Join(t.TempDir(), "one.pcap")
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	b = traffic.AppendPcapRecord(b, 0, tcp4, len(tcp4))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	rows, frames := Tshark(t, path), read(t, path)
	if len(rows) != 1 || len(frames) != 1 {
		t.Fatalf("%d rows, %d frames, want 1", len(rows), len(frames))
	}
	f := packet.Frame{Data: frames[0], Length: len(frames[0])}
	decode.Decode(&f)

	for _, c := range []struct {
		name   string
		change func(*packet.Frame, *Row)
		differ bool
	}{
		{"nothing", func(*packet.Frame, *Row) {}, false},
		{"captured", func(_ *packet.Frame, r *Row) { r.Captured++ }, true},
		{"length", func(f *packet.Frame, _ *Row) { f.Length++ }, true},
		{"ip_length", func(_ *packet.Frame, r *Row) { r.Header.IPLength++ }, true},
		{"tcp_length", func(_ *packet.Frame, r *Row) { r.Payload++ }, true},
		{"network_offset", func(f *packet.Frame, _ *Row) { f.Header.Network++ }, true},
		{"payload_offset", func(f *packet.Frame, _ *Row) { f.Header.Payload++ }, true},
		{"ethertype", func(_ *packet.Frame, r *Row) { r.Header.EtherType++ }, true},
		{"inner_vlan", func(_ *packet.Frame, r *Row) { r.Header.VLAN[1]++ }, true},
		{"source", func(_ *packet.Frame, r *Row) { r.Header.Src[15]++ }, true},
		{"destination", func(_ *packet.Frame, r *Row) { r.Header.Dst[15]++ }, true},
		{"protocol", func(_ *packet.Frame, r *Row) { r.Header.Protocol++ }, true},
		{"source_port", func(_ *packet.Frame, r *Row) { r.Header.SrcPort++ }, true},
		{"destination_port", func(_ *packet.Frame, r *Row) { r.Header.DstPort++ }, true},
		{"flags", func(_ *packet.Frame, r *Row) { r.Header.TCPFlags ^= 0x80 }, true},
		{"more_fragments", func(_ *packet.Frame, r *Row) { r.Header.MoreFragments = true }, true},
		{"fragment_offset", func(_ *packet.Frame, r *Row) { r.Header.FragmentOffset = 8 }, true},
		{"identification", func(_ *packet.Frame, r *Row) { r.Header.FragmentID++ }, true},
		{"anomaly_alone", func(f *packet.Frame, _ *Row) { f.Header.Anomaly = packet.TCPShort }, true},
		{"anomaly_of_what_tshark_reads", func(f *packet.Frame, _ *Row) { f.Header.Anomaly = packet.UnknownProtocol }, true},
		{"anomaly_of_both", func(f *packet.Frame, r *Row) { f.Header.Anomaly, r.Stopped = packet.TCPShort, true }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, row := f, rows[0]
			c.change(&f, &row)
			if got := compare(&f, &row); (got != "") != c.differ {
				t.Errorf("difference %q, want one: %v", got, c.differ)
			}
		})
	}
}
