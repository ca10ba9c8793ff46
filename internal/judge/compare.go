package judge

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
)

// reported is how many differences are printed; all are counted.
const reported = 10

// Compare fails the test unless decode reads every frame of an Ethernet pcap
// file as tshark does: tags, types, addresses, ports, protocols, TCP flags, ICMP
// types, fragment state, lengths. It returns the number of frames compared, for
// the caller to hold against what it knows.
//
// Decode is given each frame as captured and not told its length on the wire.
// Where it stopped short, with an anomaly, tshark must have found the frame cut
// or malformed too, or gone where decode does not; what was read until there is
// compared.
func Compare(t testing.TB, path string) int {
	t.Helper()
	rows, frames := Tshark(t, path), read(t, path)
	if len(rows) != len(frames) {
		t.Fatalf("%s: tshark reads %d frames, pcapgo %d", path, len(rows), len(frames))
	}
	differences := 0
	for i, data := range frames {
		f := packet.Frame{Data: data, Length: len(data)}
		decode.Decode(&f)
		difference := compare(&f, &rows[i])
		if difference == "" {
			continue
		}
		if differences++; differences <= reported {
			t.Errorf("%s: frame %d: %s\n decode %+v length %d\n tshark %+v\n %x",
				path, i+1, difference, f.Header, f.Length, rows[i], data[:min(len(data), 160)])
		}
	}
	if differences > reported {
		t.Errorf("%s: %d frames differ, of %d", path, differences, len(frames))
	}
	return len(frames)
}

func read(t testing.TB, path string) [][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := pcapgo.NewReader(bufio.NewReader(file))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if r.LinkType() != layers.LinkTypeEthernet {
		t.Fatalf("%s: link type %v, want Ethernet", path, r.LinkType())
	}
	var frames [][]byte
	for {
		data, _, err := r.ZeroCopyReadPacketData()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatalf("%s: frame %d: %v", path, len(frames)+1, err)
		}
		frames = append(frames, bytes.Clone(data))
	}
}

// compare returns how decode's reading differs from tshark's, or "".
func compare(f *packet.Frame, row *Row) string {
	got, want := f.Header, row.Header
	if len(f.Data) != row.Captured {
		return fmt.Sprintf("%d bytes, tshark has %d", len(f.Data), row.Captured)
	}
	if !row.Stopped && !row.explains(got.Anomaly) {
		return fmt.Sprintf("stopped at %v, tshark did not", got.Anomaly)
	}
	if got.Anomaly != packet.NoAnomaly {
		want = upTo(&got, want)
	}
	network, length := packet.EthernetLen+4*int(want.VLANs), row.Captured
	if want.IPLength != 0 {
		length = max(length, network+int(want.IPLength))
	}
	if f.Length != length {
		return fmt.Sprintf("length %d, want %d", f.Length, length)
	}
	if got.Network != 0 && int(got.Network) != network {
		return fmt.Sprintf("network header at %d, want %d", got.Network, network)
	}
	if got.Anomaly == packet.NoAnomaly && want.IPLength != 0 && row.Payload >= 0 {
		if at := network + int(want.IPLength) - row.Payload; int(got.Payload) != at {
			return fmt.Sprintf("payload at %d, want %d", got.Payload, at)
		}
	}
	got.Network, got.Transport, got.Payload, got.Anomaly = 0, 0, 0, 0
	if got != want {
		return fmt.Sprintf("fields differ, want\n decode %+v", want)
	}
	return ""
}

// explains reports whether decode has reason to stop at a where tshark does not.
func (r *Row) explains(a packet.Anomaly) bool {
	switch a {
	case packet.NoAnomaly:
		return true
	case packet.VLANDepth:
		return r.Tags > 2
	case packet.UnknownEtherType:
		return r.Network != "arp" && r.Network != "ip" && r.Network != "ipv6"
	case packet.ARPFormat:
		return r.Header.Src.IsZero()
	case packet.UnknownProtocol:
		return !slices.Contains([]string{"tcp", "udp", "icmp", "icmpv6", "sctp"}, r.Transport)
	}
	return false
}

// upTo returns of tshark's fields those of the layers that decode read as well,
// where it stopped with an anomaly.
func upTo(got *packet.Header, h packet.Header) packet.Header {
	if got.Transport == 0 {
		h.SrcPort, h.DstPort, h.TCPFlags, h.ICMPType, h.ICMPCode = 0, 0, 0, 0, 0
	}
	if got.Anomaly == packet.IPv6Extension {
		h.Protocol = got.Protocol
		h.MoreFragments, h.FragmentOffset, h.FragmentID = got.MoreFragments, got.FragmentOffset, got.FragmentID
	}
	if got.Network == 0 {
		h = packet.Header{EtherType: h.EtherType, VLAN: h.VLAN, VLANs: h.VLANs}
	}
	switch got.Anomaly {
	case packet.IPv4Short:
		h.Dst = got.Dst // tshark reads it after the options
	case packet.EthernetShort:
		h = packet.Header{}
	case packet.VLANShort, packet.VLANDepth:
		h.EtherType, h.VLAN, h.VLANs = got.EtherType, got.VLAN, got.VLANs
	}
	return h
}
