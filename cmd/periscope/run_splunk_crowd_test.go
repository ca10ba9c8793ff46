package main

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// A crowd sends frames each of which is a flow of its own, a UDP datagram from an
// address that has its number: 11.0.0.0 and on, 16 million of them. With
// smallTable the collector makes a record of every one, at the rate they come.
type crowd struct {
	t    testing.TB
	to   netip.AddrPort
	made atomic.Uint64
	sent uint64 // valid once a send has ended
}

// smallTable is the least there is: new flows take the places of old ones.
const smallTable = "flows: {table: 1000}"

// crowdFrame is the frame of an address that is still to be written.
var crowdFrame = []byte{
	0x0a, 0x50, 0x53, 0, 0, 1, 0x0a, 0x50, 0x53, 0, 0, 2, 8, 0,
	0x45, 0, 0, 46, 0, 0, 0x40, 0, 57, 17, 0, 0, 11, 0, 0, 0, 10, 0, 1, 23,
	4, 0, 0, 7, 0, 26, 0, 0, // port 1024 to 7, without a checksum
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
}

const crowdAddress = 14 + 12 // in crowdFrame

func inCrowd(a netip.Addr) bool { return a.Is4() && a.As4()[0] == 11 }

func crowdNumber(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]) & 0xffffff)
}

// next appends the next frame. Addresses are used again after 16 million.
func (c *crowd) next(b []byte) ([]byte, error) {
	n := uint32(c.made.Add(1)-1) & 0xffffff
	at := len(b) + crowdAddress
	b = append(b, crowdFrame...)
	binary.BigEndian.PutUint32(b[at:], 11<<24|n)
	return b, nil
}

// start sends frames at a rate until the function it returns is called. That the
// collector goes away meanwhile is no error.
func (c *crowd) start(rate float64) (stop func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, _ := traffic.Send(ctx, traffic.SendConfig{To: c.to, VNI: 1, Rate: rate, Next: c.next})
		c.sent += uint64(r.Packets)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	c.t.Cleanup(stop)
	return stop
}
