package session_test

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func newTable(t testing.TB, c session.Config) *session.Table {
	t.Helper()
	c.Workers, c.Log = max(c.Workers, 1), quiet
	return session.New(c)
}

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// many returns n entries with different random VNIs, of which those of kind
// ipv4 and ipv6 have a source.
func many(kind string, n int) []session.Entry {
	random := rand.New(rand.NewPCG(7, uint64(n)))
	taken := make(map[uint32]bool)
	entries := make([]session.Entry, 0, n)
	for len(entries) < n {
		vni := random.Uint32N(session.MaxVNI + 1)
		if taken[vni] {
			continue
		}
		taken[vni] = true
		e := session.Entry{Name: fmt.Sprintf("%s-%d", kind, vni), VNI: vni}
		switch kind {
		case "ipv4":
			e.Source = packet.AddrFrom4([4]byte{10, byte(vni >> 16), byte(vni >> 8), byte(vni)})
		case "ipv6":
			e.Source = packet.Addr{0: 0xfd, 13: byte(vni >> 16), 14: byte(vni >> 8), 15: byte(vni)}
		}
		entries = append(entries, e)
	}
	return entries
}
