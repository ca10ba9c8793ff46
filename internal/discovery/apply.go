package discovery

import (
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/session"
)

// apply takes over what one look found.
func (d *Discovery) apply(v *inventory, now time.Time) (skipped map[string]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.adopt(v.scope)
	next, changed, skipped := resolve(v, d.tenures, now)
	if ended := d.take(next, changed, now); len(changed) > 0 {
		d.log.Info("sessions of AWS changed", "account", v.account, "region", v.region,
			"sessions", len(v.sessions), "changed", len(changed)-ended, "ended", ended)
	}
	return skipped
}

// take has the table and the journal know the tenures, of which some are changed,
// and returns how many of these have ended. The caller holds mu.
func (d *Discovery) take(next []tenure, changed []session.Entry, now time.Time) (ended int) {
	d.tenures = next
	if len(changed) == 0 && d.inTable(now) == d.learnt {
		return 0
	}
	d.learn(now)
	d.strangers.known(changed)
	d.keeper.give(changed, len(next))
	d.follower.ended(changed, now)
	for i := range changed {
		if changed[i].Until != 0 {
			ended++
		}
	}
	return ended
}

// adopt gives a scope that looks the tenures of the journal that nobody lists, so
// that they end, once every scope has had its say: whose an interface is does not
// tell who mirrors it. Those that changes tell of, of accounts and regions that are
// not asked, are nobody's. The caller holds mu.
func (d *Discovery) adopt(by *scope) {
	all := d.follower.heard()
	for _, s := range d.scopes {
		all = all && (s == by || s.heard())
	}
	for i := range d.tenures {
		switch t := &d.tenures[i]; {
		case t.scope != nil:
		case t.told != changes.Place{}:
			t.scope = d.scopeOf(t.told)
		case all && !d.follower.alone(t):
			t.scope = by
		}
	}
}
