package flow

import (
	"github.com/periscope-collector/periscope/packet"
)

// A firstFragment remembers the ports of a packet whose first fragment was
// seen.
type firstFragment struct {
	tag      uint32
	second   uint32 // since 1970
	src, dst uint16
}

// fragmentSlots is the number of first fragments that a shard remembers, 12
// bytes each. Of two that fall on the same slot the later one stays.
const fragmentSlots = 512

// fragmentLife is how long a first fragment is remembered, in seconds: as long
// as a receiver waits for the others at least (RFC 1122, section 3.3.2; RFC
// 8200, section 4.5). The identification of a packet comes again.
const fragmentLife = 60

// fragment returns the ports of a fragment's flow: those that it carries, as the
// first one of its packet, or those the first one carried. They are 0 if that
// was not seen.
func (s *shard) fragment(f *packet.Frame, origin uint32, src, dst uint16) (uint16, uint16) {
	h := &f.Header
	hash := s.hasher.join(s.hasher.packet(h), s.origins.at[origin].hash)
	slot, tag, second := &s.fragments[hash%fragmentSlots], uint32(hash>>32), uint32(f.Time/1e9)
	switch {
	case h.FragmentOffset == 0 && h.Transport != 0:
		*slot = firstFragment{tag, second, src, dst}
	case slot.tag == tag && second+fragmentLife-slot.second <= 2*fragmentLife:
		return slot.src, slot.dst
	default:
		s.stats.Unresolved++
	}
	return src, dst
}
