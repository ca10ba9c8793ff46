package main

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/tunnel"
)

// A load sends frames of one VNI whose sequence numbers count on from one call
// to the next.
type load struct {
	t      testing.TB
	to     netip.AddrPort
	vni    uint32
	frames *traffic.Frames

	mu   sync.Mutex
	made int
	sent int // valid once a send has ended
}

func newLoad(t testing.TB, to netip.AddrPort, vni uint32, size traffic.Size) *load {
	return &load{t: t, to: to, vni: vni, frames: traffic.NewFrames(traffic.FramesConfig{Seed: uint64(vni), Size: size})}
}

// next makes the next frame.
func (l *load) next(b []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	return l.frames.Append(b), nil
}

// send sends n frames at a rate.
func (l *load) send(rate float64, n int) {
	l.t.Helper()
	config := traffic.SendConfig{To: l.to, VNI: l.vni, Rate: rate, Count: int64(n), Next: l.next}
	r, err := traffic.Send(l.t.Context(), config)
	if err != nil || r.Packets != int64(n) {
		l.t.Fatalf("%s, error %v", r, err)
	}
	l.add(r)
}

func (l *load) add(r traffic.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent += int(r.Packets)
}

// start sends frames at a rate until the function it returns is called. That
// the collector goes away meanwhile is no error.
func (l *load) start(rate float64) (stop func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, _ := traffic.Send(ctx, traffic.SendConfig{To: l.to, VNI: l.vni, Rate: rate, Next: l.next})
		l.add(r)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	l.t.Cleanup(stop)
	return stop
}

// count returns how many frames were sent, once that has ended. Of those made,
// the last ones may not have been.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// begun returns how many frames were made until now.
func (l *load) begun() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.made
}

// dial returns a socket that sends to an address, from a given loopback
// address or any.
func dial(t testing.TB, to netip.AddrPort, from string) io.Writer {
	t.Helper()
	var local *net.UDPAddr
	if from != "" {
		local = &net.UDPAddr{IP: net.ParseIP(from)}
	}
	c, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func write(t testing.TB, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

// vxlan returns a datagram that carries a frame.
func vxlan(vni uint32, frame []byte) []byte {
	return append(tunnel.AppendVXLAN(nil, vni), frame...)
}
