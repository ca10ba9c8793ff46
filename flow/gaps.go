package flow

// A gap is a range of sequence numbers that were passed over: [begin, end).
type gap struct {
	begin, end uint32
	time       uint32 // when it showed, or was acknowledged, in µs modulo 2^32
	link       uint32 // number of the next one, and flags
}

const (
	gapNumber = 1<<24 - 1

	// acked: the other end has the bytes, so that they are lost to us alone.
	acked = 1 << 24

	// doubtful: the range is so long that one forged packet would explain it
	// better. It counts once the sender goes on behind it.
	doubtful = 1 << 25

	// aged: it was there for longer than reordering explains when it was
	// acknowledged.
	aged = 1 << 26

	// early: the bytes may have been sent before the capture began.
	early = 1 << 27
)

// A gapList is the gaps of one side in the order of sequence numbers: the number
// of the last one, which links to the first, and in 8 bits how many there are.
type gapList uint32

func (l gapList) last() uint32 { return uint32(l) & gapNumber }
func (l gapList) count() int   { return int(l >> 24) }

// maxGaps bounds a list, and with it the work for one segment.
const maxGaps = 64

// A gapPool is the memory for the gaps of a shard: one for 16 flows, at 16
// bytes. Entry 0 is not used.
type gapPool struct {
	at   []gap
	used uint32
	free uint32 // the first of a list of free ones, by link
}

func newGapPool(capacity int) gapPool {
	return gapPool{at: make([]gap, 1+maxGaps+capacity/16), used: 1}
}

// take returns the number of a gap that is not in use, or 0.
func (p *gapPool) take() uint32 {
	if i := p.free; i != 0 {
		p.free = p.at[i].link
		return i
	}
	if int(p.used) == len(p.at) {
		return 0
	}
	p.used++
	return p.used - 1
}

func (p *gapPool) give(i uint32) {
	p.at[i].link = p.free
	p.free = i
}

func (g *gap) next() uint32 { return g.link & gapNumber }

func (g *gap) setNext(i uint32) { g.link = g.link&^gapNumber | i }

// first returns the first gap of a list that is not empty.
func (p *gapPool) first(l gapList) *gap { return &p.at[p.at[l.last()].next()] }

// insert puts g behind the gap prev of the list, as the last one if that was
// prev, or into an empty list. It reports false if there is no room.
func (p *gapPool) insert(l *gapList, prev uint32, g gap) bool {
	if l.count() == maxGaps {
		return false
	}
	i := p.take()
	if i == 0 {
		return false
	}
	p.at[i] = g
	n := gapList(l.count()+1) << 24
	if *l == 0 {
		p.at[i].setNext(i)
		*l = n | gapList(i)
		return true
	}
	p.at[i].setNext(p.at[prev].next())
	p.at[prev].setNext(i)
	if prev == l.last() {
		*l = n | gapList(i)
	} else {
		*l = n | gapList(l.last())
	}
	return true
}

// remove takes out the gap that follows prev, which may be the same.
func (p *gapPool) remove(l *gapList, prev uint32) {
	i := p.at[prev].next()
	n := gapList(l.count()-1) << 24
	switch {
	case n == 0:
		*l = 0
	case i == l.last():
		*l = n | gapList(prev)
	default:
		*l = n | gapList(l.last())
	}
	p.at[prev].setNext(p.at[i].next())
	p.give(i)
}

// drop empties a list.
func (p *gapPool) drop(l *gapList) {
	for *l != 0 {
		p.remove(l, l.last())
	}
}

// before compares sequence numbers (RFC 9293, section 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// fill takes [from, to) out of the gaps. It returns how many bytes of it were in
// gaps, and the latest of these gaps.
func (p *gapPool) fill(l *gapList, from, to uint32) (filled uint32, latest gap) {
	prev := l.last()
	for range l.count() {
		i := p.at[prev].next()
		g := &p.at[i]
		if !before(g.begin, to) {
			break
		}
		if !before(from, g.end) {
			prev = i
			continue
		}
		low, high := from, to
		if before(low, g.begin) {
			low = g.begin
		}
		if before(g.end, high) {
			high = g.end
		}
		if filled == 0 || before(latest.time, g.time) {
			latest = *g
		}
		filled += high - low
		switch {
		case low == g.begin && high == g.end:
			p.remove(l, prev)
			continue
		case high == g.end:
			g.end = low
		default:
			// Without room for two parts the one in front is given up.
			if low != g.begin && p.insert(l, i, gap{high, g.end, g.time, g.link &^ gapNumber}) {
				g.end = low
			} else {
				g.begin = high
			}
			return filled, latest
		}
		prev = i
	}
	return filled, latest
}

// ack marks what is below a sequence number as acknowledged now. A gap that has
// been there for as long as old is aged by then.
func (p *gapPool) ack(l *gapList, below, now, old uint32) {
	prev := l.last()
	for range l.count() {
		i := p.at[prev].next()
		g := &p.at[i]
		if !before(g.begin, below) {
			return
		}
		if before(below, g.end) {
			// Without room for two parts the whole waits for the next one.
			if g.link&doubtful != 0 || !p.insert(l, i, gap{below, g.end, g.time, g.link &^ gapNumber}) {
				return
			}
			g.end = below
		}
		if g.link&acked == 0 {
			if now-g.time >= old {
				g.link |= aged
			}
			g.link |= acked
			g.time = now
		}
		prev = i
	}
}

// dropLast takes out the last gap.
func (p *gapPool) dropLast(l *gapList) {
	prev := l.last()
	for p.at[prev].next() != l.last() {
		prev = p.at[prev].next()
	}
	p.remove(l, prev)
}
