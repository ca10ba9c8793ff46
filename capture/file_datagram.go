package capture

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// fill makes d of the record that was read, in place.
func (f *Files) fill(d *packet.Datagram) {
	*d = packet.Datagram{Time: f.rec.time, Order: f.order, Length: f.rec.length}
	if f.bareVNI >= 0 {
		f.fillBare(d)
	} else {
		f.fillTunnel(d)
	}
	f.order++
	f.now = max(f.now, d.Time)
}

// fillTunnel takes the payload out of the outer headers, of which the last 28
// bytes at least are IP and UDP: they are the headroom.
func (f *Files) fillTunnel(d *packet.Datagram) {
	if f.rec.link == ethernet && plain(d, f.rec.data) {
		return
	}
	var h outerHeader
	if d.Reason = standardPorts.outer(&h, f.rec.link, f.rec.data, f.rec.length); d.Reason != packet.None {
		return
	}
	d.Length, d.Encap, d.Source = h.length, h.encap, h.source
	d.Buf, d.Off = f.rec.data[h.off-packet.Headroom:h.end:h.end], packet.Headroom
}

// fillBare takes the packet as the frame. One without an Ethernet header gets
// one, with zero addresses, in front of its IP header: where its link header
// was, or the record's. At most that reaches into the length that ends the
// block before, which was read.
func (f *Files) fillBare(d *packet.Datagram) {
	d.Encap, d.VNI = packet.Bare, uint32(f.bareVNI)
	n := len(f.rec.data)
	if f.rec.link == ethernet {
		d.Buf = f.rec.data[:n:n]
		return
	}
	etherType, off, ok := linkHeader(f.rec.link, f.rec.data)
	if !ok {
		d.Reason = packet.NotTunnel
		return
	}
	at := cap(f.chunk.memory) - cap(f.rec.data) // of data
	d.Buf = f.chunk.memory[at+off-packet.EthernetLen : at+n : at+n]
	clear(d.Buf[:packet.EthernetLen-2])
	binary.BigEndian.PutUint16(d.Buf[packet.EthernetLen-2:], etherType)
	d.Length += packet.EthernetLen - off
}
