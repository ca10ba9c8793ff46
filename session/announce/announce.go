// Package announce writes and reads what a sender says of itself: an Ethernet
// frame in the VXLAN stream that it is about, so that it takes the same way and is
// kept as other frames are. docs/formats.md has the layout.
//
//	0   destination 03:50:53:43:50:45, a group's, of local administration
//	6   source, the interface's
//	12  EtherType 0x88B5 (IEEE Std 802, local experimental 1)
//	14  "PSCP", version 1
//	19  JSON: an entry with the keys of the session file
//
// A sender announces itself at its start, Every so often, and with an end when it
// ends. Parse takes any bytes. The package keeps nothing, and its functions may be
// called from any goroutine. It does not judge whether a sender may call itself
// what it does: an entry that was read is a claim, about the VNI and the outer
// source that it came with alone.
package announce

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

const (
	// EtherType is that of an announcement.
	EtherType = 0x88B5

	// MaxLength is the most bytes that one has: it passes whole where frames of
	// 1,500 bytes do, with its tunnel headers.
	MaxLength = 1400

	// Every is how often a sender announces itself.
	Every = 10 * time.Second

	// Silence is after how long without an announcement a sender has ended: three
	// may be lost.
	Silence = 35 * time.Second

	maxLabels = 16
)

const headerLen = packet.EthernetLen + 5

// The bytes of a header that are always the same.
var (
	destination = [6]byte{0x03, 'P', 'S', 'C', 'P', 'E'}
	magic       = [5]byte{'P', 'S', 'C', 'P', 1}
)

// Append appends the frame that announces e for the interface mac to dst. Of e it
// leaves out what a sender may not say of itself, of more than 16 labels those last
// by key, and if the frame would be longer than MaxLength the containers, then the
// labels, then networks and addresses. If that does not do, or mac is not an
// interface's, it returns dst and an error. An Until ends the sender.
func Append(dst []byte, mac [6]byte, e *session.Entry) ([]byte, error) {
	if !unicast(mac) {
		return dst, fmt.Errorf("an announcement of %x: this is not an interface's address", mac)
	}
	said := own(*e)
	said.MAC = mac
	if said.Until != 0 {
		said.Until = max(said.Until, said.From+1)
	}
	w := &said.Workload
	var text []byte
	for _, leaveOut := range [...]func(){
		func() {},
		func() { w.ContainerIDs = nil },
		func() { w.Labels = nil },
		func() { w.VPCCIDRs, w.SubnetCIDRs, said.Addresses = nil, nil, nil },
	} {
		leaveOut()
		var err error
		if text, err = json.Marshal(said); err != nil {
			return dst, fmt.Errorf("an announcement of %s: %w", e.Name, err)
		}
		if headerLen+len(text) <= MaxLength {
			dst = append(append(dst, destination[:]...), mac[:]...)
			dst = binary.BigEndian.AppendUint16(dst, EtherType)
			return append(append(dst, magic[:]...), text...), nil
		}
	}
	return dst, fmt.Errorf("an announcement has at most %d bytes, this one %d; say less", MaxLength, headerLen+len(text))
}

// Parse reads an announcement. The entry has the MAC address that the frame came
// from, and neither a source nor anything else that a sender may not say of itself;
// its VNI is what the sender says. An Until says that it ends.
func Parse(frame []byte) (session.Entry, error) {
	switch {
	case len(frame) > MaxLength:
		return session.Entry{}, fmt.Errorf("an announcement has at most %d bytes, not %d", MaxLength, len(frame))
	case len(frame) < headerLen || binary.BigEndian.Uint16(frame[12:]) != EtherType || [5]byte(frame[14:]) != magic:
		return session.Entry{}, errors.New("this is no announcement of version 1")
	case !unicast([6]byte(frame[6:])):
		return session.Entry{}, errors.New("an announcement must come from an interface's address")
	}
	var e session.Entry
	if err := json.Unmarshal(frame[headerLen:], &e); err != nil {
		return session.Entry{}, fmt.Errorf("an announcement that cannot be read: %w", err)
	}
	e = own(e)
	e.MAC = [6]byte(frame[6:])
	return e, nil
}

// own returns what a sender may say of itself: not where its frames come from,
// which these tell, nor which mirror session they are of, which AWS knows. The
// entry has labels of its own.
func own(e session.Entry) session.Entry {
	e.Source, e.Learned, e.Announced = packet.Addr{}, false, false
	e.Workload.SessionID, e.Workload.TargetID = "", ""
	if len(e.Workload.Labels) > maxLabels {
		labels := make(map[string]string, maxLabels)
		for _, key := range slices.Sorted(maps.Keys(e.Workload.Labels))[:maxLabels] {
			labels[key] = e.Workload.Labels[key]
		}
		e.Workload.Labels = labels
	}
	return e
}

// unicast reports whether an interface can have the address.
func unicast(mac [6]byte) bool { return mac != [6]byte{} && mac[0]&1 == 0 }
