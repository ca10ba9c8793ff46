package capture

import "sync/atomic"

// A ring is one end of a ring between a producer and a consumer, each with one
// goroutine or the kernel behind it. It has a power of two of slots. Both ends
// count up for ever, modulo 2^32.
type ring[T any] struct {
	producer, consumer *uint32
	flags              *uint32 // the kernel's; nil between workers
	slots              []T
	at                 uint32 // where this end is, which it has not told yet
}

// newRing returns both ends of a ring between two goroutines.
func newRing[T any](slots int) (put, take ring[T]) {
	// A cache line each, so that the ends do not slow one another.
	places := make([]uint32, 3*16)
	put = ring[T]{producer: &places[16], consumer: &places[32], slots: make([]T, slots)}
	return put, put
}

func (r *ring[T]) slot(at uint32) *T { return &r.slots[at&uint32(len(r.slots)-1)] }

// ready returns how many slots the producer has told of that the consumer, the
// caller, has not passed.
func (r *ring[T]) ready() uint32 { return atomic.LoadUint32(r.producer) - r.at }

// pass tells the producer that the slots before at are free.
func (r *ring[T]) pass() { atomic.StoreUint32(r.consumer, r.at) }

// put fills the next slot, which is free: every ring has room for all that can
// be in it.
func (r *ring[T]) put(v T) {
	*r.slot(r.at) = v
	r.at++
}

// tell tells the consumer of the slots before at.
func (r *ring[T]) tell() { atomic.StoreUint32(r.producer, r.at) }
