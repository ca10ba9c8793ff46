package flow

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// The bytes that the mirror did not show are told from what receivers
// acknowledged, within a tenth.
func TestLossIsMeasured(t *testing.T) {
	for _, network := range []float64{0, 0.005} {
		all := simulate(200, network)
		slices.SortStableFunc(all, func(a, b seen) int { return cmp.Compare(a.at, b.at) })
		rates := []float64{0, 0.001, 0.01, 0.05}
		if network == 0 {
			rates = rates[2:3]
		}
		for _, rate := range rates {
			random := rand.New(rand.NewPCG(3, 4))
			session := known(1)
			r := record(t, nil)
			var removed, shown uint64
			for _, p := range all {
				if random.Float64() < rate {
					removed += uint64(p.payload)
					continue
				}
				shown += uint64(p.payload)
				r.Add(0, p.frame(session, p.at))
				r.Done(0, batchAt(p.at))
			}
			var lost, again, shuffled uint64
			for _, f := range r.end() {
				for _, s := range f.Side {
					lost += s.Lost
					again += s.Retransmitted
					shuffled += s.OutOfOrder
				}
			}
			t.Logf("network loses %v, mirror %v: %d packets, lost %d of %d removed bytes, %d retransmitted, %d out of order",
				network, rate, len(all), lost, removed, again, shuffled)
			if diff := max(lost, removed) - min(lost, removed); diff*10 > removed {
				t.Errorf("network loses %v, mirror %v: %d bytes lost, %d removed", network, rate, lost, removed)
			}
			if sum := session.Tallies[0].TCPBytes.Load(); network == 0 && sum != shown {
				t.Errorf("mirror loses %v: %d bytes of TCP, %d shown", rate, sum, shown)
			}
			if n := session.Tallies[0].LostBytes.Load(); n != lost {
				t.Errorf("mirror loses %v: the session's tally has %d lost bytes, its records %d", rate, n, lost)
			}
		}
	}
}

// Packets that change places within 3 ms, acknowledgements among them, are no
// loss, nor is a capture that begins in the middle.
func TestReorderingIsNoLoss(t *testing.T) {
	all := simulate(50, 0.005)
	random := rand.New(rand.NewPCG(5, 6))
	for i := range all {
		all[i].at += random.Int64N(3 * milli)
	}
	slices.SortStableFunc(all, func(a, b seen) int { return cmp.Compare(a.at, b.at) })
	for _, skip := range []int{0, len(all) / 3, len(all) / 2} {
		session := known(1)
		r := record(t, nil)
		for _, p := range all[skip:] {
			r.Add(0, p.frame(session, p.at))
			r.Done(0, batchAt(p.at))
		}
		r.end()
		if s := r.Stats(); s.LostBytes != 0 || s.OutOfOrder == 0 {
			t.Errorf("from packet %d: %d bytes lost, %d segments out of order", skip, s.LostBytes, s.OutOfOrder)
		}
	}
}
