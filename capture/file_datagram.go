package capture

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// fill makes d of the record that was read, its payload copied to the front of
// slab. It returns the rest of slab, or false if the payload does not fit.
func (f *Files) fill(d *packet.Datagram, slab []byte) (rest []byte, ok bool) {
	*d = packet.Datagram{Time: f.rec.time, Order: f.order, Length: f.rec.length}
	if f.bareVNI >= 0 {
		ok = f.fillBare(d, slab)
	} else {
		ok = f.fillTunnel(d, slab)
	}
	if !ok {
		return slab, false
	}
	f.order++
	f.now = max(f.now, d.Time)
	return slab[len(d.Buf):], true
}

// fillTunnel takes the payload out of the outer headers.
func (f *Files) fillTunnel(d *packet.Datagram, slab []byte) bool {
	var h outerHeader
	reason := standardPorts.outer(&h, f.rec.link, f.rec.data, f.rec.length)
	if reason != packet.None {
		d.Reason = reason
		return true
	}
	d.Length, d.Encap = h.length, h.encap
	ok := place(d, slab, 0, f.rec.data[h.off:h.end])
	d.Source = h.source
	return ok
}

// fillBare takes the packet as the frame. One without an Ethernet header gets
// one, with zero addresses.
func (f *Files) fillBare(d *packet.Datagram, slab []byte) bool {
	d.Encap, d.VNI = packet.Bare, uint32(f.bareVNI)
	if f.rec.link == ethernet {
		return place(d, slab, 0, f.rec.data)
	}
	etherType, off, ok := linkHeader(f.rec.link, f.rec.data)
	if !ok {
		d.Reason = packet.NotTunnel
		return true
	}
	if !place(d, slab, packet.EthernetLen, f.rec.data[off:]) {
		return false
	}
	header := d.Buf[d.Off:][:packet.EthernetLen]
	clear(header)
	binary.BigEndian.PutUint16(header[packet.EthernetLen-2:], etherType)
	d.Length += packet.EthernetLen - off
	return true
}

// place copies data into slab, behind the headroom and room for a header of
// the given length, and lets d have both.
func place(d *packet.Datagram, slab []byte, header int, data []byte) bool {
	n := packet.Headroom + header + len(data)
	if n > len(slab) {
		return false
	}
	d.Buf, d.Off = slab[:n:n], packet.Headroom
	copy(d.Buf[packet.Headroom+header:], data)
	return true
}
