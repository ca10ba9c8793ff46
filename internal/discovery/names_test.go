package discovery

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/config"
)

// instance starts a mirrored instance, and returns its interface and how it is
// called apart.
func (w *whole) instance(account, region, name string, vni uint32) (iface, apart string) {
	w.t.Helper()
	_, face, err := w.RunInstance(account, region, name, netip.Addr{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Mirror(account, region, face.ID, vni); err != nil {
		w.t.Fatal(err)
	}
	return face.ID, name + "-" + face.ID[len(face.ID)-8:]
}

// names returns those of the tenures that last, by VNI.
func (w *whole) names() (names []string) {
	for i := range w.tenures {
		if w.tenures[i].Until == 0 {
			names = append(names, w.tenures[i].Name)
		}
	}
	return names
}

// Who has a name keeps it, whoever comes and goes.
func TestWholeNamesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	w := newWhole(t, j)
	first, _ := w.instance(home, region, "db", 1)
	w.after(time.Second)
	check(t, "one", w.names(), "db")
	_, second := w.instance(home, region, "db", 2)
	w.after(time.Second)
	check(t, "two", w.names(), "db", second)
	before := w.rig.table.Sessions()

	j.Close()
	w.open(openJournal(t, path))
	w.after(time.Second)
	check(t, "after a restart", w.names(), "db", second)
	if n := w.log.lines("sessions of AWS changed"); n != 0 {
		t.Errorf("%d changes by a restart", n)
	}

	w.DeleteInterface(home, region, first)
	for range 3 {
		w.after(time.Minute)
	}
	check(t, "the first is gone", w.names(), second)
	if after := w.rig.table.Sessions(); len(before) != 2 || len(after) != 1 || after[0].Name != before[1].Name {
		t.Errorf("in the table %v, then %v", before, after)
	}
	third, _ := w.instance(home, region, "db", 3)
	_, fourth := w.instance(home, region, "db-1", 4)
	_, fifth := w.instance(home, region, "db-1", 5)
	w.after(time.Second)
	check(t, "a third, and two others at once", w.names(), second, "db", fourth, fifth)

	w.DeleteInterface(home, region, third)
	for range 2 {
		w.after(time.Minute)
	}
	w.instance(home, region, "db", 6)
	w.after(time.Second)
	check(t, "another one after it", w.names(), second, fourth, fifth, "db")
}

// Names are apart in all accounts and regions.
func TestWholeNamesOfScopes(t *testing.T) {
	w := newWhole(t, nil, config.Account{Regions: []string{region, "eu-central-1"}})
	w.Change(func(s *awsfake.State) { s.Region(home, "eu-central-1") })
	w.instance(home, region, "db", 1)
	_, second := w.instance(home, "eu-central-1", "db", 2)
	for range 3 {
		w.after(time.Minute)
		check(t, "both", w.names(), "db", second)
	}
}

func TestNamesApart(t *testing.T) {
	w := newWorld()
	instance := func(n, name, instance string) {
		face := eni(n+"0123456", "10.0.0."+n, 100)
		face.Description, face.InstanceID = "", instance
		w.instances[instance] = &awsapi.Instance{ID: instance, Name: name}
		w.mirror(n, 7, face)
	}
	names := func(at int) (names []string) {
		w.look(at)
		for i := range w.known {
			names = append(names, w.known[i].Name)
		}
		return names
	}
	instance("1", "", "i-1")
	instance("2", "", "i-1")
	check(t, "two interfaces of an instance without a name", names(110), "i-1-10123456", "i-1-20123456")
	w.instances["i-1"].Name = "db"
	check(t, "named", names(120), "db-10123456", "db-20123456")
	instance("3", "db", "i-3")
	check(t, "a third", names(130), "db-10123456", "db-20123456", "db")
	w.instances["i-3"].Name = "orders"
	check(t, "named otherwise", names(140), "db-10123456", "db-20123456", "orders")
	instance("4", "orders", "i-4")
	check(t, "that name again", names(150), "db-10123456", "db-20123456", "orders", "orders-40123456")
	delete(w.instances, "i-4")
	delete(w.instances, "i-3")
	check(t, "not asked", names(160), "db-10123456", "db-20123456", "orders", "orders-40123456")
	check(t, "nothing changed", w.changes())

	for i := range w.known {
		w.known[i].Name = "orders"
	}
	check(t, "of several that have a name one keeps it", names(170), "db-10123456", "db-20123456", "orders", "i-4")

	w = newWorld()
	long := strings.Repeat("ä", 64)
	instance("1", long, "i-1")
	instance("2", long, "i-2")
	instance("3", "vni", "i-3")
	instance("4", "vni", "i-4")
	check(t, "cut, and not as unknown ones are called", names(110),
		strings.Repeat("ä", 59)+"-10123456", strings.Repeat("ä", 59)+"-20123456", "tms-3", "tms-4")
}
