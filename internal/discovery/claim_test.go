package discovery

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/session"
)

// Nothing shows who sent an announcement: whoever sends with a VNI and source renames
// and ends who announced itself there, and nobody that the session file or AWS has.
func TestForgedAnnouncements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(epoch))
		d := newDesk("111122223333")
		r := hearing(newRig(t, nil, d))
		r.table.Replace([]session.Entry{{Name: "listed", VNI: 1}})
		d.run("a", "10.0.0.1", 7, now())
		r.start(t)
		settle(time.Minute)
		aws := r.name(7, "10.0.0.1", "a")
		own := sidecar("web", "a")
		renamed, ended := own, own
		renamed.Name = "forged"
		ended.Until = time.Now().Add(time.Hour).UnixNano()
		for _, tt := range []struct {
			forged session.Entry
			want   string
		}{{own, "web-a"}, {renamed, "forged"}, {ended, "vni-9-10.0.0.1"}, {sidecar("other", "b"), "vni-9-10.0.0.1"}} {
			for range 7 { // a name is taken over once a minute
				r.say(9, "10.0.0.1", own)
				settle(10 * time.Second)
			}
			for _, vni := range []uint32{1, 7, 9} {
				r.say(vni, "10.0.0.1", tt.forged)
			}
			settle(time.Second)
			if got := r.name(9, "10.0.0.1", "a"); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s is %s, want %s", tt.forged.Name, got, tt.want)
			}
			if got := r.name(1, "10.0.0.1", "a") + " " + r.name(7, "10.0.0.1", "a"); got != "listed "+aws {
				t.Errorf("of the file and of AWS, after %s: %s", tt.forged.Name, got)
			}
		}
	})
}
