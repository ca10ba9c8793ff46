package flow

import (
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// A packet is a duplicate if it came through another session before, the same
// but for what routers change.
func TestDuplicates(t *testing.T) {
	base := seg(client, flagACK, 100, 500, 40)
	base.id, base.ttl = 9, 64
	change := func(f func(s *spec)) spec { s := base; f(&s); return s }
	type copy struct {
		session int
		after   int64 // ms
		spec
	}
	for _, c := range []struct {
		name   string
		copies []copy
		want   uint64
	}{
		{"through one session", []copy{{0, 0, base}, {0, 0, base}}, 0},
		{"through two", []copy{{0, 0, base}, {1, 0, base}}, 1},
		{"with another TTL", []copy{{0, 0, base}, {1, 5, change(func(s *spec) { s.ttl = 63 })}}, 1},
		{"with another identification", []copy{{0, 0, base}, {1, 5, change(func(s *spec) { s.id = 10 })}}, 0},
		{"with another payload", []copy{{0, 0, base}, {1, 5, change(func(s *spec) { s.seq++ })}}, 0},
		{"with a shorter payload", []copy{{0, 0, base}, {1, 5, change(func(s *spec) { s.payload-- })}}, 0},
		{"the other way", []copy{{0, 0, base}, {1, 5, seg(server, flagACK, 100, 500, 40)}}, 0},
		{"truncated", []copy{{0, 0, base}, {1, 5, change(func(s *spec) { s.cut = 1 })}}, 0},
		{"after 1 s", []copy{{0, 0, base}, {1, 1000, base}}, 1},
		{"after more than 1 s", []copy{{0, 0, base}, {1, 1001, base}}, 0},
		{"each of two sent twice", []copy{{0, 0, base}, {1, 0, base}, {0, 1, base}, {0, 1, base}, {1, 1, base}, {1, 1, base}}, 3},
		{"the second one, before the flow was known to be twin", []copy{{0, 0, base}, {0, 1, base}, {1, 1, base}, {1, 1, base}}, 1},
		{"sent twice, of which one came twice", []copy{{0, 0, base}, {0, 1, base}, {1, 1, base}}, 1},
		{"sent once, and twice elsewhere", []copy{{0, 0, base}, {1, 1, base}, {1, 1, base}}, 1},
		{"an interval later", []copy{{0, 0, base}, {1, 0, base}, {0, 70_000, base}, {1, 0, base}}, 2},
		{"the first of them twins from the second interval on", []copy{{0, 0, base}, {0, 70_000, base}, {1, 0, base}, {0, 10, base}, {1, 0, base}}, 2},
	} {
		for _, drop := range []bool{false, true} {
			r := record(t, func(config *Config) { config.DropDuplicates = drop })
			sessions := []*packet.Session{known(1), known(2)}
			now := start
			for _, p := range c.copies {
				now += p.after * milli
				r.add(sessions[p.session], now, p.spec)
			}
			var packets, duplicates uint64
			for _, f := range r.end() {
				for _, s := range f.Side {
					packets += s.Packets
					duplicates += s.Duplicates
				}
			}
			all := uint64(len(c.copies))
			stats := r.Stats()
			tally := sessions[0].Tallies[0].Duplicates.Load() + sessions[1].Tallies[0].Duplicates.Load()
			if stats.Duplicates != c.want || tally != c.want {
				t.Errorf("%s: %d duplicates, tallies %d; want %d", c.name, stats.Duplicates, tally, c.want)
			}
			if drop && (packets != all-c.want || duplicates != 0 || stats.Packets != packets) {
				t.Errorf("%s, dropped: %d packets in records, %d duplicates; want %d and 0", c.name, packets, duplicates, all-c.want)
			}
			if !drop && (packets != all || duplicates != c.want || stats.Packets != packets) {
				t.Errorf("%s, kept: %d packets in records, %d duplicates; want %d and %d", c.name, packets, duplicates, all, c.want)
			}
		}
	}
}

// All of a conversation that two sessions show is recognised, from the first
// packet on, and dropped copies do not disturb what is known of the connection.
func TestDuplicatesOfAConversation(t *testing.T) {
	for _, drop := range []bool{false, true} {
		r := record(t, func(config *Config) { config.DropDuplicates = drop })
		sessions := []*packet.Session{known(1), known(2)}
		all := simulate(3, 0)
		for _, p := range all {
			p.id = uint16(p.seq)
			for i, session := range sessions {
				r.Add(0, p.frame(session, p.at+int64(i)*milli))
			}
			r.Done(0, batchAt(p.at+milli))
		}
		records := r.end()
		if n := r.Stats().Duplicates; n != uint64(len(all)) {
			t.Errorf("dropped %v: %d duplicates of %d packets", drop, n, len(all))
		}
		if want := 6 - 3*min(1, map[bool]int{true: 1}[drop]); len(records) != want {
			t.Errorf("dropped %v: %d records, want %d", drop, len(records), want)
		}
		if s := r.Stats(); s.LostBytes != 0 {
			t.Errorf("dropped %v: %d bytes lost", drop, s.LostBytes)
		}
	}
}
