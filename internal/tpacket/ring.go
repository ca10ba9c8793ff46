// Package tpacket reads the packets of an interface from a ring in memory that the
// kernel writes: a packet socket with TPACKET_V3
// (Documentation/networking/packet_mmap.rst).
//
// The kernel fills one block after the other, and hands each over when it is
// full or old. A [Ring] yields a block's packets in place: its user may write
// over them until it gives the block back. The ring is kernel memory that is
// taken at once and never paged out; beside it there is nothing to speak of. A
// Ring is for one goroutine.
//
// It does not know protocols, and counts nothing but what the kernel drops.
package tpacket

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Config says what a ring is like.
type Config struct {
	// Block is the length of a block in bytes, a power of two of at least 4096:
	// the longest packet, and some 100 bytes.
	Block int

	// Bytes is the size of the ring, rounded down to blocks, at least two.
	Bytes int

	// Wait is when the kernel hands over a block that is not full. Its timer
	// looks as often, and may take two looks. At least a millisecond.
	Wait time.Duration

	// Outgoing takes what is sent through the interface, too.
	Outgoing bool

	// Offloads has the kernel say what it left to the hardware, or put
	// together: see Packet.Offload. What it cannot describe it drops.
	Offloads bool
}

// A Ring is one packet socket and its ring.
type Ring struct {
	fd       int
	mem      []byte
	blockLen int
	outgoing bool
	offloads bool

	block int    // the offset of the block at hand, or the next one
	held  bool   // the block at hand is ours
	left  uint32 // packets of it that were not yielded yet
	next  int    // the offset of the first of them
}

// A Packet is what the kernel says of one. Data and Offload alias the ring.
type Packet struct {
	Data []byte // from the Ethernet header on, as far as the filter let it in
	Len  int    // its real length, at least len(Data)
	Time int64  // when the kernel had it, in ns since 1970 UTC

	// Offload is a struct virtio_net_hdr of OffloadLen bytes and then, in the
	// same memory, Data; nil without Config.Offloads.
	Offload []byte

	// Outgoing, with that of Config, says that it was sent through the interface.
	Outgoing bool
}

// OffloadLen is the length of struct virtio_net_hdr (linux/virtio_net.h).
const OffloadLen = 10

// Device returns the name, index and MTU of an interface. It takes nothing but
// a UDP socket, where that of package net takes a netlink one. The error is
// ErrNoInterface if there is none of that name.
func Device(name string) (*net.Interface, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, ErrNoInterface // longer than any
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	device := &net.Interface{Name: name}
	for _, q := range []struct {
		request uint
		into    *int
	}{{unix.SIOCGIFINDEX, &device.Index}, {unix.SIOCGIFMTU, &device.MTU}} {
		err := unix.IoctlIfreq(fd, q.request, request)
		if err == unix.ENODEV {
			return nil, ErrNoInterface
		}
		if err != nil {
			return nil, err
		}
		*q.into = int(request.Uint32())
	}
	return device, nil
}

// Why there is no ring of an interface.
var (
	ErrNoInterface = errors.New("no such network interface")
	ErrNotEthernet = errors.New("not an Ethernet interface") // nor the loopback
)

// Take reports whether packets are left to yield, in the block at hand or, if
// the kernel has handed it over, in the next. The block at hand has to be given
// back before.
func (r *Ring) Take() bool {
	for r.left == 0 {
		b := r.header()
		if atomic.LoadUint32(&b.Block_status)&unix.TP_STATUS_USER == 0 {
			return false
		}
		r.held = true
		r.left = b.Num_pkts
		r.next = r.block + int(b.Offset_to_first_pkt)
		if r.left == 0 {
			r.GiveBack()
		}
	}
	return true
}

// Left returns how many packets of the block at hand are left to yield.
func (r *Ring) Left() uint32 { return r.left }

// header returns what the kernel says of the block at hand. Only its status may
// be read before the block is ours.
func (r *Ring) header() *unix.TpacketHdrV1 {
	d := (*unix.TpacketBlockDesc)(unsafe.Pointer(&r.mem[r.block]))
	return (*unix.TpacketHdrV1)(unsafe.Pointer(&d.Hdr))
}

// Next yields the next packet of the block at hand, of which some must be left.
// The kernel has taken one VLAN tag out of it, if there was one; Len is without
// it.
func (r *Ring) Next(p *Packet) {
	h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&r.mem[r.next]))
	begin := r.next + int(h.Mac)
	end := begin + int(h.Snaplen)
	p.Data, p.Len = r.mem[begin:end:end], int(h.Len)
	p.Time = int64(h.Sec)*1e9 + int64(h.Nsec)
	if r.outgoing {
		from := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&r.mem[r.next+tpacketAlign(unix.SizeofTpacket3Hdr)]))
		p.Outgoing = from.Pkttype == unix.PACKET_OUTGOING
	}
	if r.offloads {
		p.Offload = r.mem[begin-OffloadLen : end : end]
	}
	r.next += int(h.Next_offset)
	r.left--
}

// tpacketAlign is TPACKET_ALIGN of linux/if_packet.h.
func tpacketAlign(n int) int { return (n + unix.TPACKET_ALIGNMENT - 1) &^ (unix.TPACKET_ALIGNMENT - 1) }

// GiveBack hands the block at hand to the kernel, with what is left of it. It
// does nothing when there is none.
func (r *Ring) GiveBack() {
	if !r.held {
		return
	}
	r.held, r.left = false, 0
	atomic.StoreUint32(&r.header().Block_status, unix.TP_STATUS_KERNEL)
	r.block += r.blockLen
	if r.block == len(r.mem) {
		r.block = 0
	}
}

// Len returns the size of the ring in bytes.
func (r *Ring) Len() int { return len(r.mem) }

// FD returns the socket, to poll for POLLIN.
func (r *Ring) FD() int { return r.fd }
