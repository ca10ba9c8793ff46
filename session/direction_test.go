package session_test

import (
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

func TestDirection(t *testing.T) {
	var (
		own    = [6]byte{0x0a, 1, 2, 3, 4, 5}
		router = [6]byte{0x0a, 9, 9, 9, 9, 9}
		group  = [6]byte{0x33, 0x33, 0, 0, 0, 1}
		zero   [6]byte

		primary   = addr("10.0.1.163")
		secondary = addr("10.0.1.164")
		ipv6      = addr("fd00::a3")
		peer      = addr("203.0.113.9")
	)
	byMAC := &packet.Session{MAC: own}
	byAddress := &packet.Session{Addresses: []packet.Addr{primary, secondary, ipv6}}
	both := &packet.Session{MAC: own, Addresses: byAddress.Addresses}
	bare := &packet.Session{}

	tests := []struct {
		name           string
		session        *packet.Session
		macDst, macSrc [6]byte
		src, dst       packet.Addr // both zero: no network header
		source         packet.Addr
		want           packet.Direction
	}{
		{"mac sent", byMAC, router, own, peer, peer, peer, packet.Egress},
		{"mac received", byMAC, own, router, peer, peer, peer, packet.Ingress},
		{"mac to itself", byMAC, own, own, peer, peer, packet.Addr{}, packet.Egress},
		{"mac goes before addresses", both, own, router, primary, peer, primary, packet.Ingress},
		{"mac tells where nothing else was read", byMAC, own, router, packet.Addr{}, packet.Addr{}, packet.Addr{}, packet.Ingress},
		{"mac does not tell, addresses do", both, router, router, primary, peer, packet.Addr{}, packet.Egress},
		{"zero macs of bare IP do not match an unknown mac", bare, zero, zero, peer, peer, packet.Addr{}, packet.DirectionUnknown},
		{"address sent", byAddress, router, router, secondary, peer, packet.Addr{}, packet.Egress},
		{"address received", byAddress, router, router, peer, secondary, packet.Addr{}, packet.Ingress},
		{"address IPv6", byAddress, router, router, peer, ipv6, packet.Addr{}, packet.Ingress},
		{"addresses go before the source", byAddress, router, router, peer, primary, peer, packet.Ingress},
		{"source sent", bare, router, router, primary, peer, primary, packet.Egress},
		{"source received", bare, router, router, peer, primary, primary, packet.Ingress},
		{"source behind addresses that do not tell", byAddress, router, router, peer, addr("10.9.9.9"), peer, packet.Egress},
		{"source does not tell", bare, router, router, peer, peer, primary, packet.DirectionUnknown},
		{"unspecified sender is not the unknown source", bare, router, router, packet.Addr{}, peer, packet.Addr{}, packet.DirectionUnknown},
		{"no session, source sent", nil, router, router, primary, peer, primary, packet.Egress},
		{"group received", byMAC, group, router, peer, peer, packet.Addr{}, packet.Ingress},
		{"group sent, by address", both, group, router, primary, peer, packet.Addr{}, packet.Egress},
		{"group, mac not known", bare, group, router, peer, peer, packet.Addr{}, packet.DirectionUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := packet.Frame{Session: tt.session, Source: tt.source}
			f.Data = append(append(append(f.Data, tt.macDst[:]...), tt.macSrc[:]...), 8, 0)
			if tt.src != (packet.Addr{}) || tt.dst != (packet.Addr{}) {
				f.Header.Network = packet.EthernetLen
				f.Header.Src, f.Header.Dst = tt.src, tt.dst
			}
			if got := session.Direction(&f); got != tt.want {
				t.Errorf("direction %v, want %v", got, tt.want)
			}
			if n := testing.AllocsPerRun(10, func() { session.Direction(&f) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
			for n := range packet.EthernetLen {
				short := packet.Frame{Session: tt.session, Source: tt.source, Data: f.Data[:n]}
				if got := session.Direction(&short); got != packet.DirectionUnknown {
					t.Errorf("%d bytes: direction %v, want unknown", n, got)
				}
			}
		})
	}
}
