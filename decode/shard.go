package decode

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// A sharder finds the logical shard of a frame: FlowHash modulo the number of
// shards, but that a fragment has the shard of its flow. It belongs to the one
// goroutine that reads a source.
//
// The ports of later fragments are those of the first one, which is remembered:
// 4,096 at a time, 64 KiB. A fragment whose first one did not come before it has
// the shard that FlowHash gives.
type sharder struct {
	firsts  [1 << 12]first
	scratch packet.Frame
}

// A first is a first fragment. The zero value is none.
type first struct {
	packet uint64 // hash of what the fragments of a packet have in common
	flow   uint32 // hash of the flow
}

// ofDecoded returns the shard of a frame whose header is decoded: the same as
// shard, without reading the frame again in most cases.
func (s *sharder) ofDecoded(f *packet.Frame) uint8 {
	h := &f.Header
	if h.Transport == 0 || h.Fragment() || h.Version == 6 && h.Transport != h.Network+ipv6Len {
		return s.shard(f.Data)
	}
	var sport, dport uint32
	if hasPorts(h.Protocol) {
		sport, dport = uint32(h.SrcPort), uint32(h.DstPort)
	}
	return uint8(mix(fold(h.Version, &h.Src), fold(h.Version, &h.Dst), sport, dport, h.Protocol) % packet.Shards)
}

// shard returns the shard of an Ethernet frame.
func (s *sharder) shard(frame []byte) uint8 {
	h, fragment := flowHash(frame)
	if fragment {
		h = s.fragment(frame, h)
	}
	return uint8(h % packet.Shards)
}

// fragment returns the hash of the flow that a fragment belongs to, or without
// when that is not known.
func (s *sharder) fragment(frame []byte, without uint32) uint32 {
	f := &s.scratch
	f.Data, f.Length = frame, len(frame)
	Decode(f)
	f.Data = nil
	h := &f.Header
	src, dst := fold(h.Version, &h.Src), fold(h.Version, &h.Dst)
	switch {
	case h.Version == 0:
		return without
	case !hasPorts(h.Protocol):
		return mix(src, dst, 0, 0, h.Protocol)
	}
	id := packetHash(h)
	at := &s.firsts[id%uint64(len(s.firsts))]
	switch {
	case h.Transport != 0:
		flow := mix(src, dst, uint32(h.SrcPort), uint32(h.DstPort), h.Protocol)
		if h.Fragment() {
			*at = first{id, flow}
		}
		return flow
	case at.packet == id:
		return at.flow
	}
	return without
}

// fold returns an address as FlowHash reads it: 32 bits for either version.
func fold(version uint8, a *packet.Addr) uint32 {
	if version == 4 {
		return binary.BigEndian.Uint32(a[12:])
	}
	return binary.BigEndian.Uint32(a[0:]) ^ binary.BigEndian.Uint32(a[4:]) ^
		binary.BigEndian.Uint32(a[8:]) ^ binary.BigEndian.Uint32(a[12:])
}

// packetHash hashes what tells the fragments of one packet from those of others
// (RFC 791, section 3.2; RFC 8200, section 4.5): FNV-1a of 64 bits. It is fixed,
// so that a replay is the same every time. The result is not 0.
func packetHash(h *packet.Header) uint64 {
	hash := uint64(14695981039346656037)
	add := func(b byte) { hash = (hash ^ uint64(b)) * 1099511628211 }
	for _, b := range h.Src {
		add(b)
	}
	for _, b := range h.Dst {
		add(b)
	}
	add(h.Protocol)
	for shift := 0; shift < 32; shift += 8 {
		add(byte(h.FragmentID >> shift))
	}
	return hash | 1<<63
}
