package judge

import (
	"bufio"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// Converse writes an Ethernet pcap file of the conversations, 20,000 frames a
// second from 2026 on, and returns its name and what is in it.
func Converse(t testing.TB, c traffic.ConversationsConfig) (path string, made Flows) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "conversations.pcap")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	g := traffic.NewConversations(c)
	w := bufio.NewWriterSize(file, 1<<20)
	w.Write(traffic.AppendPcapHeader(nil, traffic.LinkEthernet)) // errors stick, and Flush returns them
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var record []byte
	for frame := g.Next(); frame != nil; frame = g.Next() {
		record = traffic.AppendPcapRecord(record[:0], at.UnixNano(), frame, len(frame))
		w.Write(record)
		at = at.Add(time.Second / 20_000)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return path, madeBy(g)
}

// madeBy returns the flows of which g has made frames.
func madeBy(g *traffic.Conversations) Flows {
	flows := make(Flows)
	for c := range g.Truth {
		var ends [2]netip.AddrPort
		for i := range ends {
			ends[i] = netip.AddrPortFrom(c.Addr[i].Netip(), c.Port[i])
		}
		for from := range ends {
			flows.Add(c.Protocol, ends[from], ends[1-from], c.Packets[from], c.Bytes[from])
		}
	}
	return flows
}
