package flow

import (
	"math/bits"
)

// An index finds the entries of a slab by hash. It is an array of buckets of
// one cache line with room for 15 entries, half full when the slab is full. An
// entry is in its home bucket or in one of the next three, so that a look-up
// has a bound whatever the hashes are. The chance that four buckets are full is
// negligible unless someone chose the flows to collide.
type index struct {
	buckets []bucket
}

const (
	slots  = 15
	window = 4
)

// A bucket holds for each slot a tag of 8 bits of the hash, 0 if the slot is
// free, and the 24 bits of the entry's number in two parts. In the place of a
// 16th slot low counts the entries that had their home here or before and went
// further.
type bucket struct {
	tags [2]uint64 // a byte a slot
	low  [slots + 1]uint16
	high [slots + 1]uint8
}

func newIndex(capacity int) index {
	return index{make([]bucket, max(window, (capacity*2+slots-1)/slots))}
}

// home returns the bucket where to look first: the hash's place on a scale.
func (x *index) home(hash uint64) int {
	hi, _ := bits.Mul64(hash, uint64(len(x.buckets)))
	return int(hi)
}

func (x *index) bucket(hash uint64) *bucket { return &x.buckets[x.home(hash)] }

// after returns the bucket that follows b.
func (x *index) after(b int) int {
	if b++; b < len(x.buckets) {
		return b
	}
	return 0
}

// tagOf returns bits of the hash that have next to nothing to do with the home,
// but never 0.
func tagOf(hash uint64) uint64 { return max(hash&0xff, 1) }

const (
	ones = 0x0101010101010101
	lows = 0x7f7f7f7f7f7f7f7f
)

// match returns a mask of the high bits of those bytes of word that equal tag.
func match(word, tag uint64) uint64 {
	x := word ^ tag*ones
	return ^(x&lows + lows | x | lows)
}

// slot returns the slot of the lowest bit of a mask of half the tags.
func slot(half int, mask uint64) int { return half*8 + bits.TrailingZeros64(mask)/8 }

func (b *bucket) at(slot int) uint32 { return uint32(b.low[slot]) | uint32(b.high[slot])<<16 }

func (b *bucket) setTag(slot int, tag uint64) {
	shift := uint(slot&7) * 8
	b.tags[slot>>3] = b.tags[slot>>3]&^(0xff<<shift) | tag<<shift
}

// free returns a free slot, or -1.
func (b *bucket) free() int {
	if m := match(b.tags[0], 0); m != 0 {
		return slot(0, m)
	}
	if s := slot(1, match(b.tags[1], 0)); s < slots {
		return s
	}
	return -1
}

// candidate returns the first entry in a home bucket that may be of the hash.
// If there is none it is any entry: what the place of the 16th slot makes of it,
// which spares a branch that nothing could predict.
func (b *bucket) candidate(hash uint64) (entry uint32, found bool) {
	mask := b.matches(tagOf(hash)) | 1<<slots
	return b.at(bits.TrailingZeros64(mask) & 15), mask != 1<<slots
}

// matches returns a mask of the slots that have a tag.
func (b *bucket) matches(tag uint64) uint64 {
	return bytesOf(match(b.tags[0], tag)) | bytesOf(match(b.tags[1], tag))<<8
}

// bytesOf gathers the high bits of a mask's bytes.
func bytesOf(mask uint64) uint64 { return mask >> 7 * 0x0102040810204080 >> 56 }

// crowd is the number of entries of one tag in one bucket that no chance brings
// together. More are not let in, so that whoever made them collide does not make
// look-ups compare many.
const crowd = 8

func (x *index) crowded(hash uint64) bool {
	return bits.OnesCount64(x.bucket(hash).matches(tagOf(hash))) >= crowd
}

// room reports whether an entry of the hash can be inserted.
func (x *index) room(hash uint64) bool {
	for n, b := 0, x.home(hash); n < window; n, b = n+1, x.after(b) {
		if x.buckets[b].free() >= 0 {
			return true
		}
	}
	return false
}

// insert adds entry i, for which there is room.
func (x *index) insert(hash uint64, i uint32) {
	b := x.home(hash)
	for ; x.buckets[b].free() < 0; b = x.after(b) {
		x.buckets[b].low[slots]++
	}
	s := x.buckets[b].free()
	x.buckets[b].setTag(s, tagOf(hash))
	x.buckets[b].low[s], x.buckets[b].high[s] = uint16(i), uint8(i>>16)
}

// remove takes entry i out.
func (x *index) remove(hash uint64, i uint32) {
	home, tag := x.home(hash), tagOf(hash)
	for n, b := 0, home; n < window; n, b = n+1, x.after(b) {
		bucket := &x.buckets[b]
		for half := range bucket.tags {
			for m := match(bucket.tags[half], tag); m != 0; m &= m - 1 {
				s := slot(half, m)
				if bucket.at(s) != i {
					continue
				}
				bucket.setTag(s, 0)
				for ; home != b; home = x.after(home) {
					x.buckets[home].low[slots]--
				}
				return
			}
		}
	}
}
