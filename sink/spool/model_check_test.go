package spool

import "slices"

// open finds what is pending, and of what was settled since the last checkpoint
// perhaps some; nothing twice, and in order.
func (m *model) open() {
	m.s, m.out = open(m.t, m.cfg), nil
	m.s.cfg.Age = 0
	found, last := map[string]bool{}, 0
	var batches []*Batch
	for b := read(m.t, m.s, 50); b != nil; b = read(m.t, m.s, 50) {
		for _, e := range b.Events {
			e := string(e)
			if _, ok := m.pending[e]; !ok && !m.again[e] || number(e) <= last {
				m.t.Errorf("found %.10q behind %d; it was settled or never made", e, last)
			}
			found[e], last = false, number(e)
		}
		batches = append(batches, b)
	}
	for e := range m.pending {
		if _, ok := found[e]; !ok {
			m.t.Errorf("%.10q is lost", e)
		}
	}
	if st := m.s.Stats(); st.Found != uint64(len(found)) {
		m.t.Errorf("%d events, %+v", len(found), st)
	}
	for _, b := range batches {
		m.s.Return(b)
	}
	m.s.cfg.Age = m.cfg.Age
	m.pending = found
}

// check compares the spool with the model, and with itself.
func (m *model) check() {
	m.t.Helper()
	balanced(m.t, m.s)
	st := m.s.Stats()
	if st.Pending != len(m.pending) || len(m.s.out) != len(m.out) {
		m.t.Errorf("%d events pending, want %d; %d batches out, want %d", st.Pending, len(m.pending), len(m.s.out), len(m.out))
	}
	spans := slices.Clone(m.s.todo)
	if !slices.IsSortedFunc(spans, span.compare) {
		m.t.Errorf("out of order: %+v", spans)
	}
	for b := range m.s.out {
		spans = append(spans, b.span)
	}
	slices.SortFunc(spans, span.compare)
	pending, bytes, left := m.s.buffered, int64(len(m.s.buf)), 0
	for i, sp := range spans {
		pending += sp.events
		if i > 0 && spans[i-1].segment == sp.segment && spans[i-1].to > sp.from || sp.from >= sp.to || sp.events < 1 {
			m.t.Errorf("span %+v behind %+v", sp, spans[max(0, i-1)])
		}
	}
	for _, seg := range m.s.segments {
		bytes += seg.size
		left += seg.left
	}
	if pending != st.Pending || left != st.Pending || bytes != st.Bytes || len(m.s.spare) > keepBatches {
		m.t.Errorf("%d events in spans, %d in segments, %d bytes; %+v", pending, left, bytes, st)
	}
}
