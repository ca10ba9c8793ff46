package pipeline

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// TestOwnerIsThatOfTheFrame asks for the owner of datagrams of every kind, which
// it leaves as they are: they are opened once more.
func TestOwnerIsThatOfTheFrame(t *testing.T) {
	ip4 := append([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 1, 1, 10, 2, 2, 2}, bytes.Repeat([]byte{7}, 20)...)
	frame := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}, ip4...)
	vxlan := append(tunnel.AppendVXLAN(nil, 7), frame...)
	options := bytes.Repeat([]byte{0xee}, maxOptions)
	longest := append([]byte{0x3f, 0, 8, 0, 0, 0, 1, 0}, append(options, ip4...)...)
	for _, tt := range []struct {
		name    string
		encap   packet.Encap
		payload []byte
	}{
		{"vxlan", packet.VXLAN, vxlan},
		{"cut", packet.VXLAN, vxlan[:5]},
		{"nothing", packet.GENEVE, nil},
		{"behind a Gateway Load Balancer", packet.GENEVE, geneve(tunnel.ProtocolIPv4, 1, middle4(4789, 0), vxlan)},
		{"bare IP", packet.GENEVE, geneve(tunnel.ProtocolIPv4, 1, ip4)},
		{"bare IP without options", packet.GENEVE, append([]byte{0, 0, 8, 0, 0, 0, 1, 0}, ip4...)},
		{"bare IP behind the longest options", packet.GENEVE, longest},
		{"a header alone", packet.GENEVE, []byte{0, 0, 8, 0, 0, 0, 1, 0}},
	} {
		for _, workers := range []int{1, 2, 7} {
			d := datagram(tt.encap, tt.payload)
			before := bytes.Clone(d.Buf)
			got := owner(workers)(&d)
			if !bytes.Equal(d.Buf, before) {
				t.Errorf("%s: the datagram was changed", tt.name)
			}
			var f packet.Frame
			open(&d, &f)
			if want := int(decode.FlowHash(f.Data) % uint32(workers)); got != want {
				t.Errorf("%s: owner %d of %d, want %d", tt.name, got, workers, want)
			}
		}
	}
	d := packet.Datagram{Reason: packet.OuterFragment} // which has no bytes
	if got := owner(2)(&d); got != 0 {
		t.Errorf("owner of what is no datagram: %d", got)
	}
	d = packet.Datagram{Off: 100} // of a source that is broken
	if got := owner(2)(&d); got != 0 {
		t.Errorf("owner of what panics: %d", got)
	}
}

func TestOwnerAllocatesNothing(t *testing.T) {
	d := datagram(packet.GENEVE, geneve(tunnel.ProtocolIPv4, 1, bytes.Repeat([]byte{0x45}, 40)))
	of := owner(2)
	if n := testing.AllocsPerRun(100, func() { of(&d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAutoSaysWhyItIsUDP opens what needs no right, on a machine with or without
// a default route.
func TestAutoSaysWhyItIsUDP(t *testing.T) {
	c := config.Default().Capture
	c.Listen, c.Geneve, c.Workers = []string{"127.0.0.1:0"}, nil, 1
	var log bytes.Buffer
	in, err := openInputs(&c, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	want := `msg="backend udp: capture.listen[0]: \"127.0.0.1:0\" is a single address, and a packet ring takes a port whatever the address"`
	if in.backend != "udp" || !strings.Contains(log.String(), want) {
		t.Errorf("backend %s, log\n%s", in.backend, &log)
	}
	if in.nic != nil {
		t.Errorf("losses of %s count, and only the loopback is listened on", in.iface)
	}
}

// TestExplicitInterfaceIsThere says that what was asked for by name is not
// replaced, whatever the backend.
func TestExplicitInterfaceIsThere(t *testing.T) {
	for _, backend := range []string{"auto", "udp", "afpacket", "xdp"} {
		c := config.Default().Capture
		c.Backend, c.Interface, c.Workers = backend, "absent0", 1
		_, err := openInputs(&c, slog.New(slog.DiscardHandler))
		var key *KeyError
		if !errors.As(err, &key) || key.Key != "capture.interface" || !strings.Contains(err.Error(), `"absent0"`) {
			t.Errorf("%s: %v", backend, err)
		}
	}
}
