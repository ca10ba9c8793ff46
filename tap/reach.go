package tap

import "time"

// reached is how long nothing must be refused until the tap says that it goes on:
// longer than announcements are apart.
const reached = 30 * time.Second

// A reach is whether what is sent gets as far as can be told from here.
type reach struct {
	failed  error     // why the latest datagram was refused since the last look
	refused time.Time // when one was; zero while none is
}

// tellReach logs when the network or the collector begins to refuse what is sent,
// and when that is over.
func (t *Tap) tellReach(now time.Time) {
	r := &t.out.reach
	switch {
	case r.failed != nil:
		if r.refused.IsZero() {
			t.cfg.Log.Warn("what is mirrored does not reach the collector", "to", t.cfg.To, "error", r.failed)
		}
		r.failed, r.refused = nil, now
	case !r.refused.IsZero() && now.Sub(r.refused) >= reached:
		t.cfg.Log.Info("what is mirrored is not refused any more", "to", t.cfg.To, "counts", t.now.stats())
		r.refused = time.Time{}
	}
}
