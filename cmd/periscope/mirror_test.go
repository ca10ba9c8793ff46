package main

import (
	"net/netip"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/tunnel"
)

// mirrorStart is when mirrorFile begins.
var mirrorStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	mirrorStep  = 2 * time.Millisecond // between two packets
	mirrorVNIs  = 5
	mirrorFlows = 300
)

// mirrorTarget is where the datagrams of mirrorFile go.
var mirrorTarget = netip.MustParseAddrPort("10.0.9.9:4789")

// A mirror is a capture file as taken at a mirror target, and what is in it.
type mirror struct {
	file    []byte
	offsets []int // of each record, and of the end
	frames  int   // packets that carry a frame
	times   []time.Time
}

// newMirror makes a capture of n packets to the tunnel ports: frames of several
// VNIs from two mirrored interfaces, by VXLAN and by GENEVE, and now and then a
// packet that is none of it, or one whose time lies behind.
func newMirror(n int) *mirror {
	m := &mirror{file: traffic.AppendPcapHeader(nil, traffic.LinkEthernet)}
	frames := traffic.NewFrames(traffic.FramesConfig{Seed: 7, Flows: mirrorFlows})
	target := mirrorTarget
	sources := []netip.Addr{netip.MustParseAddr("10.0.1.23"), netip.MustParseAddr("10.0.2.42")}
	var payload, wire []byte
	for i := range n {
		frame := frames.Next()
		vni := uint32(i%mirrorVNIs + 1)
		source := netip.AddrPortFrom(sources[i/3%2], traffic.SourcePort(frame))
		to := target
		switch {
		case i%101 == 100:
			to = netip.AddrPortFrom(target.Addr(), 53)
			payload = append(payload[:0], "no tunnel"...)
		case i%13 == 12:
			to = netip.AddrPortFrom(target.Addr(), tunnel.GENEVEPort)
			payload = traffic.AppendGENEVE(payload[:0], tunnel.GENEVE{VNI: 9, Cookie: uint32(i)}, source.Addr(), target.Addr(), vni, frame)
			m.frames++
		default:
			payload = traffic.AppendVXLAN(payload[:0], vni, frame)
			m.frames++
		}
		wire = traffic.AppendOuter(wire[:0], source, to, payload)
		at := mirrorStart.Add(time.Duration(i) * mirrorStep)
		if i%97 == 96 {
			at = at.Add(-5 * time.Millisecond)
		}
		m.offsets = append(m.offsets, len(m.file))
		m.times = append(m.times, at)
		m.file = traffic.AppendPcapRecord(m.file, at.UnixNano(), wire, len(wire))
	}
	m.offsets = append(m.offsets, len(m.file))
	return m
}

// mirrorSessions explains some of the VNIs of newMirror.
const mirrorSessions = `sessions:
  - {name: web, vni: 1}
  - {name: "db/one", vni: 2, source: 10.0.1.23}
  - {vni: 3, session_id: tms-0123456789abcdef0}
`
