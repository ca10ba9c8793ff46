package flow

import (
	"math/rand/v2"
	"testing"
)

// lookup finds what was inserted under a hash, as shard.find does.
func (x *index) lookup(hash uint64, want uint32) bool {
	for n, b := 0, x.home(hash); n < window; n, b = n+1, x.after(b) {
		for half := range x.buckets[b].tags {
			for m := match(x.buckets[b].tags[half], tagOf(hash)); m != 0; m &= m - 1 {
				if x.buckets[b].at(slot(half, m)) == want {
					return true
				}
			}
		}
		if x.buckets[b].low[slots] == 0 {
			break
		}
	}
	return false
}

// What was inserted and not removed is found, and nothing else, also where
// buckets overflow.
func TestIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []uint64{1, 20, 1 << 32} { // different homes, of 20
		x := newIndex(150)
		in := make(map[uint32]uint64)
		for range 20_000 {
			i := random.Uint32N(200)*80_000 + 1
			if hash, ok := in[i]; ok {
				x.remove(hash, i)
				delete(in, i)
				if x.lookup(hash, i) {
					t.Fatalf("%d is found after it was removed", i)
				}
				continue
			}
			hash := random.Uint64N(spread)*(1<<63/spread*2) + random.Uint64N(256)
			if !x.room(hash) {
				continue
			}
			x.insert(hash, i)
			in[i] = hash
			for i, hash := range in {
				if !x.lookup(hash, i) {
					t.Fatalf("%d is not found", i)
				}
			}
		}
		for i, hash := range in {
			x.remove(hash, i)
		}
		for i, b := range x.buckets {
			if b.tags != [2]uint64{} || b.low[slots] != 0 {
				t.Fatalf("bucket %d of an empty index: %v", i, b)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		word := random.Uint64() & random.Uint64() & 0x0103010301030103
		tag := random.Uint64N(4)
		want := uint64(0)
		for i := range 8 {
			if word>>(8*i)&0xff == tag {
				want |= 0x80 << (8 * i)
			}
		}
		if got := match(word, tag); got != want {
			t.Fatalf("match(%#x, %d) = %#x, want %#x", word, tag, got, want)
		}
		bits := uint64(0)
		for i := range 8 {
			bits |= want >> (8*i + 7) & 1 << i
		}
		if got := bytesOf(want); got != bits {
			t.Fatalf("bytesOf(%#x) = %#b, want %#b", want, got, bits)
		}
	}
}
