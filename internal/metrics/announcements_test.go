package metrics

import "testing"

func TestAnnouncements(t *testing.T) {
	got := scrape(t, Snapshot{Announcements: map[string]uint64{"heard": 7, "surplus": 2}})
	if got[`periscope_announcements_total{outcome="heard"}`] != 7 || got[`periscope_announcements_total{outcome="surplus"}`] != 2 {
		t.Error(got)
	}
}
