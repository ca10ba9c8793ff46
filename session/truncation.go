package session

import (
	"fmt"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// cuts are the lengths in bytes, after the VXLAN header, at which frames are
// cut on AWS. Where AWS counts the original packet instead, 14 bytes of
// Ethernet are added. Of a target's MTU the outer headers leave 36 bytes less
// to the frame (IPv4 20, UDP 8, VXLAN 8); AWS says 54 less to the packet over
// IPv4 and 74 over IPv6 (VPC Traffic Mirroring, packet format and quotas).
var cuts = []struct {
	from, to int
	cause    string
}{
	{1440, 1464, "the target's or the path's MTU of 1,500: raise it to 9,001"},
	{8426, 8426, gatewayLimit},
	{8440, 8440, gatewayLimit},
	{8446, 8446, gatewayLimit},
	{8460, 8460, gatewayLimit},
	{8500, 8500, "a Network Load Balancer target takes 8,500 bytes at most"},
	{8941, 8965, "the target's MTU of 9,001: the source's MTU must be at most 8,947"},
	{bufferLimit, bufferLimit, "the collector takes datagrams of 9,216 bytes at most"},
}

const (
	gatewayLimit = "a Gateway Load Balancer endpoint takes packets of 8,446 bytes (IPv4) or 8,426 (IPv6) at most"
	bufferLimit  = packet.MaxDatagram - tunnel.VXLANLen
)

// TruncationCause guesses from its length, n bytes, why a frame of a session is
// cut.
func TruncationCause(s *packet.Session, n int) string {
	if limit := s.Workload.PacketLength; limit > 0 && n == limit {
		return fmt.Sprintf("the session's packet length of %d bytes", limit)
	}
	for _, c := range cuts {
		if c.from <= n && n <= c.to {
			return c.cause
		}
	}
	return "a packet length set on the mirror session, or the snap length of a capture file"
}
