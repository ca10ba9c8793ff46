package discovery

import (
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// TestAwait says that records wait for every scope that will look, until it has,
// and for none that AWS is away from.
func TestAwait(t *testing.T) {
	now := time.Now()
	a, b, away := new(scope), new(scope), new(scope)
	away.away.Store(true)
	var s strangers
	stranger := func(scopes ...*scope) *packet.Session {
		session := new(packet.Session)
		session.Await(now.Add(time.Hour).UnixNano())
		s.await(session, now, scopes)
		return session
	}
	if stranger(away).Awaited() || stranger().Awaited() {
		t.Error("records wait although nobody looks")
	}
	both := stranger(a, away, b)
	s.looked(a, now.Add(-1))
	s.looked(b, now)
	if !both.Awaited() {
		t.Error("a look that began before the session counts")
	}
	s.looked(a, now)
	if both.Awaited() || len(s.awaited) != 0 {
		t.Errorf("awaited after all have looked; %d are left", len(s.awaited))
	}
	for range maxWaiting {
		stranger(a)
	}
	if stranger(a).Awaited() || len(s.awaited) != maxWaiting {
		t.Errorf("%d are awaited, want %d", len(s.awaited), maxWaiting)
	}
}
