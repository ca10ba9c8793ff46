package discovery

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// saying returns what whoever mirrors writes of session tms-<id>, of task <name> of
// service web.
func saying(kind, id, name, address string, vni uint32, at int) changes.Change {
	face := eni(name, address, 0)
	task := taskOf(face, 0)
	return changes.Change{
		At: second(at), Kind: kind, Account: "111122223333", Region: "eu-central-1", SessionID: "tms-" + id,
		InterfaceID: face.ID, TargetID: "tmt-1", VNI: vni, Number: 1,
		Address: face.Primary, MAC: "02:" + hexOf(name[0]) + ":00:00:00:00", VPCID: face.VPCID, SubnetID: face.SubnetID,
		ECS: &changes.ECS{
			Cluster: "prod", ClusterARN: task.ClusterARN, Service: task.Service, TaskARN: task.ARN,
			TaskDefinitionARN: task.TaskDefinitionARN, ContainerIDs: task.ContainerIDs,
		},
	}
}

func hexOf(b byte) string { return string("0123456789abcdef"[b>>4]) + string("0123456789abcdef"[b&15]) }

// telling returns one of a second.
func (w *world) telling(n int) *telling {
	w.left = make(map[string]uint64)
	t := &telling{
		now: second(n), scope: func(changes.Place) *scope { return w.lister }, ours: func(target string) bool { return target != "tmt-2" },
		heard: func() map[sender]int64 { return w.senders }, gone: w.gone, over: &w.over, left: w.left,
	}
	if t.gone == nil {
		t.gone = func(*session.Entry) int64 { return 0 }
	}
	return t
}

// hear tells the world changes at a second, and returns the tenures in the table.
func (w *world) hear(n int, batch ...changes.Change) []string {
	t := w.telling(n)
	before := slices.Clone(w.known)
	next, saved := t.run(batch, w.known)
	if !reflect.DeepEqual(before, w.known) {
		panic("what it is given is changed")
	}
	w.known, w.saved = next, saved
	return w.inTable(n)
}

func TestTellingKeepsTo(t *testing.T) {
	w := newWorld()
	check(t, "created", w.hear(105, saying("created", "1", "a", "10.0.0.1", 7, 103)), "web-aaaaaaaa 7 10.0.0.1 103-")
	check(t, "journal", w.changes(), "web-aaaaaaaa 7 10.0.0.1 103-")
	e := w.known[0].Entry
	wl := e.Workload
	if e.MAC != [6]byte{2, 'a'} || !e.Learned || len(e.Addresses) != 1 || wl.InterfaceID != "eni-a" || wl.Cluster != "prod" || wl.Service != "web" ||
		!strings.HasSuffix(wl.TaskARN, "aaaa") || wl.VPCID != "vpc-1" || wl.SubnetID != "subnet-1" || wl.AccountID != "111122223333" ||
		wl.Region != "eu-central-1" || wl.SessionID != "tms-1" || wl.TargetID != "tmt-1" || !slices.Equal(wl.ContainerIDs, []string{"a-1"}) {
		t.Errorf("entry %+v", e)
	}
	check(t, "again", w.hear(106, saying("created", "1", "a", "10.0.0.1", 7, 103)), "web-aaaaaaaa 7 10.0.0.1 103-")
	check(t, "journal", w.changes())
	check(t, "deleted", w.hear(110, saying("deleted", "1", "a", "10.0.0.1", 7, 108)), "web-aaaaaaaa 7 10.0.0.1 103-113")
	check(t, "journal", w.changes(), "web-aaaaaaaa 7 10.0.0.1 103-113")
	check(t, "again", w.hear(111, saying("deleted", "1", "a", "10.0.0.1", 7, 108)), "web-aaaaaaaa 7 10.0.0.1 103-113")
	check(t, "journal", w.changes())
	check(t, "a minute later", w.hear(170))
	if len(w.known) != 0 {
		t.Errorf("kept %v", w.known)
	}
}

// A session that begins and ends between two readings has its time all the same.
func TestTellingOfWhatIsOver(t *testing.T) {
	created, deleted := saying("created", "1", "a", "10.0.0.1", 7, 103), saying("deleted", "1", "a", "10.0.0.1", 7, 104)
	for name, batches := range map[string][][]changes.Change{
		"at once":   {{created, deleted}},
		"reordered": {{deleted}, {created}},
		"twice":     {{created, deleted}, {created, deleted}},
	} {
		w := newWorld()
		var got []string
		for i, batch := range batches {
			got = w.hear(105+i, batch...)
		}
		check(t, name, got, "web-aaaaaaaa 7 10.0.0.1 103-109")
	}
}

// What a look finds of a session is the tenure that changes tell of, whichever was
// first.
func TestTellingAgreesWithLooks(t *testing.T) {
	for _, asked := range []bool{true, false} {
		w := newWorld()
		if asked {
			w.lister = here
		}
		a := eni("a", "10.0.0.1", 102)
		w.hear(105, saying("created", "1", "a", "10.0.0.1", 7, 103))
		check(t, "a look that began before", w.look(106), "web-aaaaaaaa 7 10.0.0.1 103-")
		w.mirror("1", 7, a)
		check(t, "its task not found yet", w.look(110), "web-aaaaaaaa 7 10.0.0.1 103-")
		w.tasks[a.ID] = taskOf(a, 100)
		w.tasks[a.ID].Tags = map[string]string{"team": "blue"}
		w.tasks[a.ID].ContainerIDs = []string{"a-1", "a-2"}
		check(t, "its task found", w.look(120), "web-aaaaaaaa 7 10.0.0.1 103-")
		if k := w.known[0]; len(w.known) != 1 || k.scope != here || k.partial || len(k.Workload.ContainerIDs) != 2 || k.Workload.Labels["team"] != "blue" {
			t.Errorf("known %+v", w.known)
		}
		check(t, "late", w.hear(121, saying("created", "1", "a", "10.0.0.1", 7, 103)), "web-aaaaaaaa 7 10.0.0.1 103-")
		check(t, "journal", w.changes())
		check(t, "deleted", w.hear(130, saying("deleted", "1", "a", "10.0.0.1", 7, 129)), "web-aaaaaaaa 7 10.0.0.1 103-134")
		check(t, "and listed by a look that is late", w.look(131), "web-aaaaaaaa 7 10.0.0.1 103-134")
		w.unmirror("1")
		check(t, "and not", w.look(140), "web-aaaaaaaa 7 10.0.0.1 103-134")
		check(t, "a minute later", w.look(200))
	}
}

// A session that a look listed before its task was found has it by its change.
func TestTellingNamesWhatALookFound(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 102)
	w.mirror("1", 7, a)
	check(t, "listed", w.look(105), "tms-1 7 10.0.0.1 102-")
	check(t, "told", w.hear(106, saying("created", "1", "a", "10.0.0.1", 7, 103)), "web-aaaaaaaa 7 10.0.0.1 102-")
	check(t, "not found still", w.look(115), "web-aaaaaaaa 7 10.0.0.1 102-")
	if !w.known[0].partial {
		t.Error("its containers are all")
	}
}

func TestTellingContainersAreAskedFor(t *testing.T) {
	w := newWorld()
	w.lister = here
	w.hear(105, saying("created", "1", "a", "10.0.0.1", 7, 103))
	w.mirror("1", 7, eni("a", "10.0.0.1", 102))
	d := &Discovery{tenures: w.known}
	if done, _ := d.pursue(&w.inventory); done["eni-a"] {
		t.Error("what the change has is taken for all")
	}
}

func TestTellingModified(t *testing.T) {
	w := newWorld()
	w.hear(101, saying("created", "1", "a", "10.0.0.1", 7, 100))
	check(t, "another VNI", w.hear(111, saying("modified", "1", "a", "10.0.0.1", 8, 110)),
		"web-aaaaaaaa 7 10.0.0.1 100-115", "web-aaaaaaaa 8 10.0.0.1 110-")
	check(t, "the first one, late", w.hear(112, saying("created", "1", "a", "10.0.0.1", 7, 100)),
		"web-aaaaaaaa 7 10.0.0.1 100-115", "web-aaaaaaaa 8 10.0.0.1 110-")
	check(t, "and back", w.hear(121, saying("modified", "1", "a", "10.0.0.1", 7, 120)),
		"web-aaaaaaaa 7 10.0.0.1 100-", "web-aaaaaaaa 8 10.0.0.1 110-125")
	short := saying("modified", "1", "a", "10.0.0.1", 7, 125)
	short.PacketLength, short.Number = 100, 9
	w.hear(126, short)
	if k := w.known[0]; k.Workload.PacketLength != 100 || k.number != 9 {
		t.Errorf("modified in its length: %+v", k)
	}
	other := saying("modified", "1", "a", "10.0.0.1", 7, 130)
	other.TargetID = "tmt-2"
	check(t, "towards another collector", w.hear(131, other), "web-aaaaaaaa 7 10.0.0.1 100-135", "web-aaaaaaaa 8 10.0.0.1 110-125")
	check(t, "deleted", w.hear(141, saying("deleted", "1", "a", "10.0.0.1", 7, 140)),
		"web-aaaaaaaa 7 10.0.0.1 100-135", "web-aaaaaaaa 8 10.0.0.1 110-125")

	w = newWorld()
	check(t, "reordered", w.hear(111, saying("modified", "1", "a", "10.0.0.1", 8, 110)), "web-aaaaaaaa 8 10.0.0.1 110-")
	check(t, "reordered", w.hear(112, saying("created", "1", "a", "10.0.0.1", 7, 100)),
		"web-aaaaaaaa 7 10.0.0.1 100-115", "web-aaaaaaaa 8 10.0.0.1 110-")
}

func TestTellingAddressReused(t *testing.T) {
	a, b := saying("created", "1", "a", "10.0.0.1", 7, 100), saying("created", "2", "b", "10.0.0.1", 7, 110)
	want := []string{"web-aaaaaaaa 7 10.0.0.1 100-110", "web-bbbbbbbb 7 10.0.0.1 110-"}
	w := newWorld()
	check(t, "in order", w.hear(111, a, b), want...)
	w = newWorld()
	w.hear(111, a, saying("deleted", "1", "a", "10.0.0.1", 7, 109))
	check(t, "while AWS mirrors on", w.hear(112, b), want...)
	w = newWorld()
	w.hear(111, b)
	got := w.hear(112, a)
	slices.Sort(got)
	check(t, "reordered", got, want...)
}

// Frames may come before the change says so: the writer's clock is another one.
func TestTellingBegin(t *testing.T) {
	id := session.Identity{VNI: 7, Source: packet.AddrFrom(netip.MustParseAddr("10.0.0.1"))}
	for _, tt := range []struct {
		name string
		from sender
		at   int
		want string
	}{
		{"heard before", sender{id, [6]byte{2, 'a'}}, 99, "99"},
		{"heard after", sender{id, [6]byte{2, 'a'}}, 104, "103"},
		{"heard before, of no interface", sender{id, [6]byte{}}, 98, "98"},
		{"another interface", sender{id, [6]byte{2, 'b'}}, 99, "103"},
	} {
		w := newWorld()
		w.senders = map[sender]int64{tt.from: second(tt.at).UnixNano()}
		check(t, tt.name, w.hear(105, saying("created", "1", "a", "10.0.0.1", 7, 103)), "web-aaaaaaaa 7 10.0.0.1 "+tt.want+"-")
	}
	w := newWorld()
	w.senders = map[sender]int64{{id, [6]byte{2, 'a'}}: second(105).UnixNano()}
	w.hear(111, saying("created", "1", "a", "10.0.0.1", 7, 100), saying("deleted", "1", "a", "10.0.0.1", 7, 110))
	check(t, "the second of an interface", w.hear(113, saying("created", "2", "a", "10.0.0.1", 7, 112)),
		"web-aaaaaaaa 7 10.0.0.1 100-115", "web-aaaaaaaa 7 10.0.0.1 115-")
	w = newWorld()
	check(t, "a clock that is ahead", w.hear(105, saying("created", "1", "a", "10.0.0.1", 7, 1000)), "web-aaaaaaaa 7 10.0.0.1 105-")
	check(t, "and behind", w.hear(110, saying("deleted", "1", "a", "10.0.0.1", 7, 50)), "web-aaaaaaaa 7 10.0.0.1 105-105")
}

func TestTellingNames(t *testing.T) {
	w := newWorld()
	bare := saying("created", "1", "a", "10.0.0.1", 7, 100)
	bare.ECS = nil
	instance := saying("created", "2", "b", "10.0.0.2", 7, 100)
	instance.ECS, instance.InstanceID, instance.InstanceName = nil, "i-1", "front"
	unnamed := saying("created", "3", "c", "10.0.0.3", 7, 100)
	unnamed.ECS, unnamed.InstanceID = nil, "i-2"
	same := saying("created", "4", "d", "10.0.0.4", 7, 100)
	same.ECS, same.InstanceID, same.InstanceName = nil, "i-3", "front"
	check(t, "names", w.hear(101, bare, instance, unnamed, same), "tms-1 7 10.0.0.1 100-", "front-eni-b 7 10.0.0.2 100-", "i-2 7 10.0.0.3 100-", "front-eni-d 7 10.0.0.4 100-")
	check(t, "two of one interface", w.hear(102, saying("created", "5", "e", "10.0.0.5", 7, 100), saying("created", "6", "e", "10.0.0.5", 8, 100))[4:],
		"web-eeeeeeee-tms-5 7 10.0.0.5 100-", "web-eeeeeeee-tms-6 8 10.0.0.5 100-")
}

func TestTellingLeavesOut(t *testing.T) {
	w := newWorld()
	spoil := func(f func(*changes.Change)) changes.Change {
		c := saying("created", "1", "a", "10.0.0.1", 7, 100)
		f(&c)
		return c
	}
	batch := []changes.Change{
		spoil(func(c *changes.Change) { c.VNI = 0 }),
		spoil(func(c *changes.Change) { c.Address = netip.Addr{} }),
		spoil(func(c *changes.Change) { c.Address = netip.MustParseAddr("224.0.0.1") }),
		spoil(func(c *changes.Change) { c.MAC = "01:00:00:00:00:00" }),
		spoil(func(c *changes.Change) { c.SessionID = "vni-7" }),
		spoil(func(c *changes.Change) { c.SessionID = strings.Repeat("x", maxName) }),
		spoil(func(c *changes.Change) { c.TargetID = "tmt-2" }),
		spoil(func(c *changes.Change) { c.Kind = "refused" }),
	}
	check(t, "nothing", w.hear(101, batch...))
	if want := map[string]uint64{"no_vni": 1, "no_address": 2, "odd": 3}; !reflect.DeepEqual(w.left, want) {
		t.Errorf("left out %v", w.left)
	}
	w.gone = func(e *session.Entry) int64 { return second(90).UnixNano() }
	check(t, "what ended long ago", w.hear(102, saying("created", "1", "a", "10.0.0.1", 7, 89)))
	check(t, "and began anew", w.hear(102, saying("modified", "1", "a", "10.0.0.1", 7, 90)), "web-aaaaaaaa 7 10.0.0.1 90-")
}

// Who writes changes of one account says nothing of another's sessions.
func TestTellingOfOthers(t *testing.T) {
	w := newWorld()
	want := w.hear(101, saying("created", "1", "a", "10.0.0.1", 7, 100))
	for _, kind := range []string{"created", "modified", "deleted"} {
		foreign := saying(kind, "1", "a", "10.0.0.1", 8, 102)
		foreign.Account = "444455556666"
		check(t, kind, w.hear(103, foreign), want...)
	}
	foreign := saying("created", "2", "b", "10.0.0.1", 7, 102)
	foreign.Account = "444455556666"
	gone := saying("deleted", "3", "c", "10.0.0.3", 7, 102)
	gone.Account = "444455556666"
	w.hear(103, gone)
	check(t, "one that is not known", w.hear(103, saying("created", "3", "c", "10.0.0.3", 7, 101))[1:], "web-cccccccc 7 10.0.0.3 101-")
	w.known = w.known[:1]
	check(t, "the same identity", w.hear(104, foreign), "web-aaaaaaaa 7 10.0.0.1 100-", "web-bbbbbbbb 7 10.0.0.1 102-")
}

// Networks that another interface of the VPC told are those of this one.
func TestTellingNetworks(t *testing.T) {
	w := newWorld()
	w.hear(101, saying("created", "1", "a", "10.0.0.1", 7, 100))
	w.known[0].Workload.VPCCIDRs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}
	w.known[0].Workload.SubnetCIDRs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	w.hear(102, saying("created", "2", "b", "10.0.0.2", 7, 100))
	if b := w.known[1].Workload; !reflect.DeepEqual(b.VPCCIDRs, w.known[0].Workload.VPCCIDRs) || !reflect.DeepEqual(b.SubnetCIDRs, w.known[0].Workload.SubnetCIDRs) {
		t.Errorf("%+v", b)
	}
}
