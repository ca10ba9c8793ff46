package pcap

import "math"

// A limit is where the emission of one worker's entries ends: at what could
// still come from others, or, if worker is -1, at everything of that order.
type limit struct {
	order  int64
	worker int
}

func (l limit) allows(order int64, worker int) bool {
	return order < l.order || order == l.order && worker < l.worker
}

func (l limit) before(m limit) bool {
	return l.order < m.order || l.order == m.order && l.worker < m.worker
}

// setLimits reads the marks, and takes what workers have parked. In replay
// nothing goes before what another worker may still offer; the worker's own
// frames come in order. Live a worker's frames may be out of order too.
func (w *writer) setLimits(last bool) {
	first := limit{math.MaxInt64, math.MaxInt}
	second, lowest := first, -1
	for i := range w.sink.workers {
		mark, parked := w.sink.workers[i].yield()
		if parked != nil {
			w.accept(parked)
		}
		if last {
			continue
		}
		l := limit{mark, i}
		switch {
		case l.order < first.order || lowest < 0:
			second, first, lowest = first, l, i
		case l.order < second.order || second.worker == math.MaxInt:
			second = l
		}
	}
	if !last && !w.replay {
		first.worker, lowest = -1, -1
	}
	for i := range w.limits {
		w.limits[i] = first
	}
	if lowest >= 0 {
		w.limits[lowest] = second
	}
}
