package record

import "github.com/periscope-collector/periscope/packet"

// MaxFramePayload is the most of a frame's payload that a [Frame] holds, in
// bytes.
const MaxFramePayload = 256

// A Frame is what the event of a frame is made of. It is a value of 376 bytes
// that aliases no frame and holds no pointer but that of the session. The zero
// value is of no use before [Frame.Set].
type Frame struct {
	session   *packet.Session
	time      int64 // ns since 1970 UTC
	source    packet.Addr
	header    packet.Header
	length    uint32 // of the frame, in bytes
	captured  uint32 // how many of them arrived
	behind    uint32 // bytes of payload
	kept      uint16 // how many of them are in payload
	direction packet.Direction
	payload   [MaxFramePayload]byte
}

// Set copies what an event says of a frame, and of its payload the given number
// of bytes, at most [MaxFramePayload], as far as they were captured. The frame
// has been decoded and has a session.
//
// The payload is what the IP packet has behind the last header that was read,
// without the padding of a short frame; without an IP header that of the whole
// frame, and nothing of ARP.
func (f *Frame) Set(from *packet.Frame, payload int) {
	f.session, f.time, f.source, f.direction = from.Session, from.Time, from.Source, from.Direction
	f.header = from.Header
	f.length, f.captured = uint32(from.Length), uint32(len(from.Data)+from.Cut)
	begin, end := payloadOf(from)
	f.behind = uint32(end - begin)
	payload = min(max(payload, 0), MaxFramePayload)
	begin, end = min(begin, len(from.Data)), min(end, len(from.Data))
	f.kept = uint16(copy(f.payload[:payload], from.Data[begin:end]))
}

// Awaited is that of the frame's session.
func (f *Frame) Awaited() bool { return f.session.Awaited() }

// payloadOf returns where a frame's payload begins and ends, which may be beyond
// what was captured.
func payloadOf(f *packet.Frame) (begin, end int) {
	h := &f.Header
	begin, end = int(h.Payload), f.Length
	switch {
	case h.IPLength != 0:
		end = int(h.Network) + int(h.IPLength)
	case begin == 0, h.Network != 0 && h.Version == 0:
		end = begin
	}
	return begin, max(begin, end)
}
