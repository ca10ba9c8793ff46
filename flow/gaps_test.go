package flow

import (
	"math/rand/v2"
	"testing"
)

// A list of gaps agrees with a set of bytes.
func TestGaps(t *testing.T) {
	const length = 500
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		p := newGapPool(0)
		var l gapList
		base := random.Uint32()
		var missing, done [length]bool // bytes in gaps; and acknowledged ones
		next, below := uint32(0), uint32(0)
		for range 200 {
			switch random.IntN(3) {
			case 0: // a gap behind all
				n, skip := 1+random.Uint32N(10), random.Uint32N(5)
				if next+skip+n > length || l.count() > maxGaps/2 {
					continue
				}
				next += skip
				if !p.insert(&l, l.last(), gap{begin: base + next, end: base + next + n}) {
					t.Fatal("no room")
				}
				for i := next; i < next+n; i++ {
					missing[i] = true
				}
				next += n
			case 1:
				if next == 0 {
					continue
				}
				from := random.Uint32N(next)
				to := from + random.Uint32N(next-from) + 1
				want := uint32(0)
				for i := from; i < to; i++ {
					if missing[i] {
						want++
					}
					missing[i] = false
				}
				if got, _ := p.fill(&l, base+from, base+to); got != want {
					t.Fatalf("round %d: %d bytes filled of [%d, %d), want %d", round, got, from, to, want)
				}
			case 2:
				below = max(below, random.Uint32N(next+1))
				p.ack(&l, base+below, 0, 1)
				for i := range below {
					done[i] = true
				}
			}
			var got, gotDone [length]bool
			at := l.last()
			for range l.count() {
				at = p.at[at].next()
				g := p.at[at]
				if g.begin == g.end || g.end-g.begin > length {
					t.Fatalf("gap [%d, %d)", g.begin-base, g.end-base)
				}
				for i := g.begin - base; i < g.end-base; i++ {
					got[i], gotDone[i] = true, g.link&acked != 0
				}
			}
			if at != l.last() {
				t.Fatalf("the list does not end with its last gap")
			}
			if got != missing {
				t.Fatalf("round %d: gaps differ", round)
			}
			for i := range got {
				if got[i] && gotDone[i] != done[i] {
					t.Fatalf("round %d: byte %d acknowledged %v, want %v", round, i, gotDone[i], done[i])
				}
			}
		}
		p.drop(&l)
		free := 0
		for i := p.free; i != 0; i = p.at[i].link {
			free++
		}
		if l != 0 || free != int(p.used)-1 {
			t.Fatalf("%d gaps of %d are free", free, p.used-1)
		}
	}
}

// Without room a list gives up its oldest gap: lost if it was acknowledged, else
// not counted. No packet walks more than a bounded list.
func TestTooManyGaps(t *testing.T) {
	for _, c := range []struct {
		gaps int
		lost uint64 // acknowledged in the end
	}{{maxGaps, maxGaps * 10}, {maxGaps + 1, maxGaps * 10}, {3 * maxGaps, maxGaps * 10}} {
		r, session := record(t, nil), known(1)
		for _, s := range after() {
			r.add(session, start, s.spec)
		}
		seq := uint32(100)
		for range c.gaps {
			r.add(session, start+milli, seg(client, flagACK, seq+10, 500, 10))
			seq += 20
		}
		r.add(session, start+2*milli, seg(server, flagACK, 500, seq, 0))
		r.end()
		if n := r.Stats().LostBytes; n != c.lost {
			t.Errorf("%d gaps: %d bytes lost, want %d", c.gaps, n, c.lost)
		}
	}
	// Acknowledged one by one, all are counted.
	r, session := record(t, nil), known(1)
	for _, s := range after() {
		r.add(session, start, s.spec)
	}
	for n := range uint32(3 * maxGaps) {
		r.add(session, start+milli, seg(server, flagACK, 500, 100+20*(n+1)-10, 0))
		r.add(session, start+milli, seg(client, flagACK, 100+20*(n+1)-10, 500, 10))
	}
	r.end()
	if n := r.Stats().LostBytes; n != 3*maxGaps*10 {
		t.Errorf("%d bytes lost, want %d", n, 3*maxGaps*10)
	}
}
