package discovery

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/announce"
	"github.com/periscope-collector/periscope/session/journal"
)

// hearing makes the rig one that hears senders.
func hearing(r *rig) *rig {
	r.ears = &ears{waiting: make(chan announcement, maxUnheard), recent: make(map[session.Identity]bool)}
	r.strangers.patience = announcedIn
	return r
}

// sidecar returns what one of a service's tasks says, with the interface eni-<face>.
func sidecar(service, face string) session.Entry {
	return session.Entry{
		Name: service + "-" + face, MAC: [6]byte{2, face[0]}, From: time.Now().UnixNano(),
		Workload: packet.Workload{Service: service, TaskARN: "arn:aws:ecs:r:1:task/prod/" + face},
	}
}

// say has the rig hear an announcement now, from the interface that it names.
func (r *rig) say(vni uint32, address string, e session.Entry) {
	e.VNI = 99 // which does not matter
	frame, err := announce.Append(nil, e.MAC, &e)
	if err != nil {
		panic(err)
	}
	r.sayFrame(vni, address, frame)
}

func (r *rig) sayFrame(vni uint32, address string, frame []byte) {
	r.Hear(&packet.Frame{VNI: vni, Source: from(address), Time: time.Now().UnixNano(), Data: frame})
	synctest.Wait()
}

func from(address string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(address)) }

// settle lets time pass, and has all be done that is due then.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAnnouncedSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hearing(newRig(t, nil))
		r.start(t)
		began := r.find(7, "10.0.0.1", "a")
		if began.Known || !began.Awaited() {
			t.Fatalf("%+v, awaited %v", began, began.Awaited())
		}
		settle(300 * time.Millisecond)
		r.say(7, "10.0.0.1", sidecar("web", "a"))
		settle(0)
		s := r.find(7, "10.0.0.1", "a")
		if s.Name != "web-a" || !s.Known || !s.Learned || !s.Announced || s.VNI != 7 || s.Workload.Service != "web" || began.Identified() != s {
			t.Errorf("%+v; what began became %s", s, began.Identified().Name)
		}
		if began.Awaited() || r.name(7, "10.0.0.2", "a") != "vni-7-10.0.0.2" || r.name(8, "10.0.0.1", "a") != "vni-8-10.0.0.1" || r.name(7, "10.0.0.1", "b") != "vni-7-10.0.0.1" {
			t.Error("it is said of another VNI, source or interface")
		}
		if at := r.lookup(7, s.Source.Netip(), s.MAC, time.Now().Add(-2*time.Second)); at == s {
			t.Error("a frame of before is its")
		}
		if got := r.Announcements(); got["heard"] != 1 || len(got) != NumOutcomes {
			t.Error(got)
		}
	})
}

// Who shows and is not announced in time is not waited for any more.
func TestStrangerThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hearing(newRig(t, nil))
		r.start(t)
		s := r.find(7, "10.0.0.1", "a")
		settle(announcedIn - 1)
		if !s.Awaited() {
			t.Error("not for long enough")
		}
		settle(1)
		if s.Awaited() {
			t.Error("for longer")
		}
	})
	synctest.Test(t, func(t *testing.T) { // nor where nobody is heard
		r := newRig(t, nil)
		r.start(t)
		if s := r.find(7, "10.0.0.1", "a"); s.Awaited() || r.Announcements() != nil {
			t.Error("awaited")
		}
		r.say(7, "10.0.0.1", sidecar("web", "a"))
		if got := r.name(7, "10.0.0.1", "a"); got != "vni-7-10.0.0.1" {
			t.Error(got)
		}
	})
}

func TestAnnouncedEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(r *rig)
		want [3]string // of frames of interface a, of b, and of a before
	}{
		{"heard again", func(r *rig) {
			settle(announce.Silence - 2*time.Second)
			r.say(7, "10.0.0.1", sidecar("web", "a"))
			settle(announce.Silence - 2*time.Second)
		}, [3]string{"web-a", "vni-7-10.0.0.1", "web-a"}},
		{"silent", func(r *rig) { settle(announce.Silence + time.Second) }, [3]string{"vni-7-10.0.0.1", "vni-7-10.0.0.1", "web-a"}},
		{"almost silent", func(r *rig) { settle(announce.Silence - 3*time.Second) }, [3]string{"web-a", "vni-7-10.0.0.1", "web-a"}},
		{"says so", func(r *rig) {
			e := sidecar("web", "a")
			e.Until = e.From + 1
			settle(time.Second)
			r.say(7, "10.0.0.1", e)
		}, [3]string{"vni-7-10.0.0.1", "vni-7-10.0.0.1", "web-a"}},
		{"another interface", func(r *rig) {
			settle(2 * time.Second)
			r.say(7, "10.0.0.1", sidecar("api", "b"))
		}, [3]string{"vni-7-10.0.0.1", "api-b", "web-a"}},
		{"another interface that says it is the same task", func(r *rig) {
			settle(2 * time.Second)
			e := sidecar("web", "a")
			e.Name, e.MAC = "copy", [6]byte{2, 'b'}
			r.say(7, "10.0.0.1", e)
		}, [3]string{"vni-7-10.0.0.1", "copy", "web-a"}},
		{"another says that it ends", func(r *rig) {
			e := sidecar("api", "b")
			e.Until = e.From + 1
			settle(time.Second)
			r.say(7, "10.0.0.1", e)
		}, [3]string{"web-a", "vni-7-10.0.0.1", "web-a"}},
		{"another task of the interface", func(r *rig) {
			settle(2 * time.Second)
			e := sidecar("web", "b")
			e.MAC = [6]byte{2, 'a'}
			r.say(7, "10.0.0.1", e)
		}, [3]string{"web-b", "vni-7-10.0.0.1", "web-a"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := hearing(newRig(t, nil))
			r.start(t)
			r.say(7, "10.0.0.1", sidecar("web", "a"))
			settle(time.Second)
			before := time.Now()
			tt.do(r)
			settle(time.Second)
			first := r.lookup(7, from("10.0.0.1").Netip(), [6]byte{2, 'a'}, before).Identified()
			got := [3]string{r.name(7, "10.0.0.1", "a"), r.name(7, "10.0.0.1", "b"), first.Name}
			if got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}

// What ended is forgotten, and its room free.
func TestAnnouncedAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hearing(newRig(t, nil))
		r.start(t)
		for i := range 3 {
			r.say(uint32(i), "10.0.0.1", sidecar("web", "a"))
		}
		settle(announce.Silence + endedStay + 2*time.Second)
		if c := &r.claims; len(c.all)+len(c.latest)+len(c.of)+len(r.ears.recent) != 0 {
			t.Errorf("%+v", c)
		}
		for _, s := range r.table.Sessions() {
			t.Error(s.Name)
		}
	})
}

// While announcements find no room nobody is taken for silent.
func TestSilenceWhileDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hearing(newRig(t, nil))
		r.start(t)
		r.say(7, "10.0.0.1", sidecar("web", "a"))
		settle(30 * time.Second)
		r.ears.outcomes[Unheard].Add(1)
		settle(announce.Silence)
		if got := r.name(7, "10.0.0.1", "a"); got != "web-a" {
			t.Error(got)
		}
		settle(2 * time.Second)
		if got := r.name(7, "10.0.0.1", "a"); got != "vni-7-10.0.0.1" {
			t.Error(got)
		}
	})
}

// AWS goes before what a sender says: of one interface it is AWS's alone. What has
// another one is beside it, under another name.
func TestAWSGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(epoch))
		d := newDesk("111122223333")
		r := hearing(newRig(t, nil, d))
		e := sidecar("shop", "a")
		e.Name = "task-a"
		r.start(t)
		r.say(7, "10.0.0.1", e)
		settle(time.Second)
		if s := r.find(7, "10.0.0.1", "a"); s.Name != "task-a" || !s.Announced {
			t.Fatalf("%+v", s)
		}
		d.run("a", "10.0.0.1", 7, now())
		settle(time.Minute)
		for range 2 {
			r.say(7, "10.0.0.1", e)
			settle(10 * time.Second)
		}
		s := r.find(7, "10.0.0.1", "a")
		if s.Announced || !s.Learned || s.Workload.SessionID == "" {
			t.Errorf("%+v", s)
		}
		e.Name = s.Name
		r.say(8, "10.0.0.1", e)
		settle(time.Second)
		if beside := r.find(8, "10.0.0.1", "a"); !beside.Announced || beside.Name == s.Name || !strings.HasPrefix(beside.Name, s.Name) {
			t.Errorf("%s beside %s", beside.Name, s.Name)
		}
		d.change(func() { clear(d.sessions) })
		settle(3 * time.Minute)
		r.say(7, "10.0.0.1", e)
		settle(time.Second)
		if s := r.find(7, "10.0.0.1", "a"); !s.Announced {
			t.Errorf("AWS has it no more: %+v", s)
		}
	})
}

// A sender gets no name that another has, also not one made of it.
func TestAnnouncedNamesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hearing(newRig(t, nil))
		r.table.Replace([]session.Entry{{Name: "listed", VNI: 1}})
		r.start(t)
		named := func(name, face string) session.Entry {
			e := sidecar("s", face)
			e.Name = name
			return e
		}
		tail := "-61000000" // of interface a, from its third byte on
		r.say(10, "10.0.0.1", named("db", "a"))
		r.say(11, "10.0.0.1", named("db", "b"))
		r.say(12, "10.0.0.1", named("db", "a"))
		r.say(13, "10.0.0.1", named("db"+tail, "c"))
		r.say(14, "10.0.0.1", named("vni-5", "a"))
		r.say(15, "10.0.0.1", named("listed", "a"))
		r.say(16, "10.0.0.1", named("db", "a"))
		settle(time.Second)
		got := make(map[string]uint32)
		for _, s := range r.table.Sessions() {
			if other, ok := got[s.Name]; ok {
				t.Errorf("%d and %d are %s", other, s.VNI, s.Name)
			}
			got[s.Name] = s.VNI
		}
		if got["db"] != 10 || got["listed"] != 1 || got["vni-5"] != 0 || got["s-a"] != 14 || len(got) != 8 {
			t.Error(got)
		}
		if before := got; len(before) > 0 { // names stay when others go
			e := named("db", "a")
			e.Until = e.From + 1
			settle(time.Second)
			r.say(10, "10.0.0.1", e)
			settle(time.Second)
			for _, s := range r.table.Sessions() {
				if before[s.Name] != s.VNI {
					t.Errorf("%d is %s now", s.VNI, s.Name)
				}
			}
		}
	})
}

// What a sender says anew is taken over, once a minute at most.
func TestAnnouncedMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hearing(newRig(t, nil))
		r.start(t)
		e := sidecar("web", "a")
		r.say(7, "10.0.0.1", e)
		settle(0)
		began := r.find(7, "10.0.0.1", "a")
		e.Workload.ContainerIDs = []string{"c"}
		for range 5 {
			settle(10 * time.Second)
			r.say(7, "10.0.0.1", e)
			settle(time.Second)
			if s := r.find(7, "10.0.0.1", "a"); s != began {
				t.Fatalf("after %s: %+v", time.Since(epoch), s)
			}
		}
		settle(10 * time.Second)
		r.say(7, "10.0.0.1", e)
		settle(time.Second)
		if s := r.find(7, "10.0.0.1", "a"); s != began.Identified() || s == began || len(s.Workload.ContainerIDs) != 1 || s.From != began.From {
			t.Errorf("%+v", s)
		}
	})
}

func TestSinceWhenASenderIsBelieved(t *testing.T) {
	const second, minute = int64(time.Second), int64(time.Minute)
	at := epoch.UnixNano()
	for _, tt := range [][2]int64{
		{0, at}, {at, at - second}, {at - 300, at - 300 - second}, {at - 30*second, at - 31*second},
		{at - minute + second, at - minute}, {at - minute, at - minute}, {at - 100*minute, at - minute}, {1, at - minute},
		{at + second/2, at - second/2}, {at + second, at}, {at + minute, at},
	} {
		if got := since(tt[0], at); got != tt[1] {
			t.Errorf("%d: %d, want %d", tt[0]-at, got-at, tt[1]-at)
		}
	}
}

// What cannot be heard is counted, and changes nothing.
func TestUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hearing(newRig(t, nil))
		for range maxUnheard + 3 { // nobody listens yet
			r.say(7, "10.0.0.1", sidecar("web", "a"))
		}
		r.start(t)
		r.sayFrame(7, "10.0.0.2", []byte{1})
		r.sayFrame(7, "10.0.0.2", make([]byte, announce.MaxLength+1))
		settle(2 * time.Second)
		r.sayFrame(7, "10.0.0.2", make([]byte, announce.MaxLength))
		want := map[string]uint64{"heard": 1, "too_often": maxUnheard - 1, "queue_full": 3, "malformed": 3, "surplus": 0}
		if got := r.Announcements(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// However many senders say they are somebody, there is room for 10,000, and for 128
// of one address.
func TestAnnouncedAreBounded(t *testing.T) {
	c := newClaims()
	took := func(vni uint32, source uint32) int {
		e := session.Entry{Name: "n", VNI: vni, MAC: [6]byte{2}, Announced: true, Learned: true}
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], source)
		e.Source = packet.AddrFrom4(a)
		outcome, _ := c.take(e, epoch.UnixNano(), epoch)
		return outcome
	}
	for i := range uint32(200) {
		if got := took(i, 1); (got == Heard) != (i < maxClaimsOfOne) {
			t.Fatal(i, got)
		}
	}
	for i := range uint32(maxClaims) {
		if got := took(1, 2+i); (got == Heard) != (i < maxClaims-maxClaimsOfOne) {
			t.Fatal(i, got)
		}
	}
	all, changed := c.entries(nil)
	if len(all) != maxClaims || len(changed) != maxClaims {
		t.Error(len(all), len(changed))
	}
	names := make(map[string]bool)
	for i := range all {
		names[all[i].Name] = true
	}
	if len(names) != maxClaims {
		t.Error(maxClaims-len(names), "have a name of another")
	}
	if _, changed = c.entries(nil); len(changed) != 0 {
		t.Error("again", len(changed))
	}
	c.endSilent(time.Time{}, epoch.Add(announce.Silence))
	c.endSilent(time.Time{}, epoch.Add(announce.Silence+endedStay))
	if len(c.all)+len(c.latest)+len(c.of) != 0 {
		t.Error(len(c.all), len(c.latest), len(c.of))
	}
}

// The journal has who was announced, and the next start begins with it, until it is
// silent. Where nobody is heard any more it has ended.
func TestAnnouncedInJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	loaded := func() []session.Entry {
		entries, _, err := journal.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	hour := 0
	run := func(hears bool, do func(r *rig)) {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Duration(hour) * time.Hour)
			hour++
			j := openJournal(t, path)
			r := newRig(t, nil)
			if hears {
				hearing(r)
			}
			r.keeper = newKeeper(j, r.Discovery.log, r.restate)
			r.remember(j, time.Now())
			r.start(t)
			do(r)
		})
	}
	run(true, func(r *rig) {
		r.say(7, "10.0.0.1", sidecar("web", "a"))
		r.say(8, "10.0.0.1", sidecar("web", "b"))
		settle(time.Second)
	})
	if got := loaded(); len(got) != 2 || !got[0].Announced || got[0].Until != 0 || got[0].Workload.Service != "web" {
		t.Fatalf("%+v", got)
	}
	run(true, func(r *rig) {
		if got := r.name(7, "10.0.0.1", "a"); got != "web-a" {
			t.Error("after a restart:", got)
		}
		settle(10 * time.Second)
		r.say(7, "10.0.0.1", sidecar("web", "a"))
		settle(announce.Silence - 5*time.Second)
		if a, b := r.find(7, "10.0.0.1", "a"), r.find(8, "10.0.0.1", "b"); a.Name != "web-a" || b.Known {
			t.Error("then", a.Name, b.Name)
		}
	})
	if got := loaded(); len(got) != 2 || got[slices.IndexFunc(got, func(e session.Entry) bool { return e.VNI == 8 })].Until == 0 {
		t.Errorf("%+v", got)
	}
	run(false, func(r *rig) {
		if got := r.find(7, "10.0.0.1", "a"); got.Known {
			t.Error("nobody is heard, and it is", got.Name)
		}
		settle(time.Second)
	})
	for _, e := range loaded() {
		if e.Until == 0 {
			t.Errorf("%+v", e)
		}
	}
}

// The word of a sender is cleaned, and bound to where it came from.
func TestBind(t *testing.T) {
	said := session.Entry{Name: "a\nb", VNI: 1, MAC: [6]byte{2}, Source: from("10.9.9.9"), Workload: packet.Workload{
		Service: strings.Repeat("s", 300), TaskARN: "arn with blanks", Cluster: "c\x1b[2J", ContainerIDs: slices.Repeat([]string{"c", "d\n"}, 40),
		Labels: map[string]string{"k\t": "v\x00"},
	}}
	id := session.Identity{VNI: 7, Source: from("10.0.0.1")}
	got := bind(&said, id)
	w := got.Workload
	if got.Identity() != id || !got.Learned || !got.Announced || got.Name != "a_b" || w.TaskARN != "" || w.Cluster != "c_[2J" ||
		len(w.Service) != maxLabelValue || len(w.ContainerIDs) != maxContainers || w.Labels["k_"] != "v_" {
		t.Errorf("%+v", got)
	}
	for _, tt := range []struct {
		name, arn, definition, service, want string
	}{
		{"vni-7", "arn:aws:ecs:r:1:task/c/0123456789", "arn:aws:ecs:r:1:task-definition/family:3", "", "family-01234567"},
		{"vni-7-x", "arn:aws:ecs:r:1:task/c/0123", "", "web", "web-0123"},
		{"", "", "", "web", "sender-7-10.0.0.1"},
		{"mine", "", "", "", "mine"},
	} {
		e := session.Entry{Name: tt.name, Workload: packet.Workload{TaskARN: tt.arn, TaskDefinitionARN: tt.definition, Service: tt.service}}
		if got := bind(&e, id); got.Name != tt.want {
			t.Errorf("%+v: %s", tt, got.Name)
		}
	}
}
