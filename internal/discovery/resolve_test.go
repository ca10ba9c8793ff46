package discovery

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// epoch is when tests begin; second n is n seconds later.
var epoch = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func second(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }

var here = &scope{api: newDesk("111122223333"), account: "111122223333"}

// eni returns interface eni-<name> of Fargate's with an address, attached at a
// second.
func eni(name, address string, attached int) *awsapi.Interface {
	a := netip.MustParseAddr(address)
	return &awsapi.Interface{
		ID: "eni-" + name, OwnerID: "111122223333", VPCID: "vpc-1", SubnetID: "subnet-1",
		Description: "arn:aws:ecs:eu-central-1:111122223333:attachment/" + name,
		MAC:         [6]byte{2, name[0]}, Primary: a, Addresses: []netip.Addr{a}, Attached: second(attached),
	}
}

// taskOf returns the running task of an interface, of service web.
func taskOf(face *awsapi.Interface, created int) *awsapi.Task {
	name := strings.TrimPrefix(face.ID, "eni-")
	return &awsapi.Task{
		ARN:        "arn:aws:ecs:eu-central-1:111122223333:task/prod/" + strings.Repeat(name, 32),
		ClusterARN: "arn:aws:ecs:eu-central-1:111122223333:cluster/prod",
		Service:    "web", InterfaceID: face.ID, AttachmentID: name, LastStatus: "RUNNING",
		TaskDefinitionARN: "arn:aws:ecs:eu-central-1:111122223333:task-definition/front:7",
		ContainerIDs:      []string{name + "-1"}, Created: second(created),
	}
}

// A world is what one scope has.
type world struct {
	inventory
	known []tenure
	saved []session.Entry // by the last look
	last  int64           // look, in ns

	// Of changes.
	lister  *scope                     // of the sessions that they tell of
	senders map[sender]int64           // that were heard
	gone    func(*session.Entry) int64 // nil: nothing is
	over    recent[deletion, int64]
	left    map[string]uint64 // out, by reason
}

func newWorld() *world {
	w := &world{inventory: inventory{scope: here, account: "111122223333", region: "eu-central-1", apart: 10 * time.Second}}
	w.interfaces = make(map[string]*awsapi.Interface)
	w.tasks = make(map[string]*awsapi.Task)
	w.stopped = make(map[string]time.Time)
	w.instances = make(map[string]*awsapi.Instance)
	return w
}

// mirror adds a session tms-<id> of an interface.
func (w *world) mirror(id string, vni uint32, face *awsapi.Interface) {
	w.interfaces[face.ID] = face
	w.sessions = append(w.sessions, awsapi.MirrorSession{ID: "tms-" + id, InterfaceID: face.ID, TargetID: "tmt-1", VNI: vni, Number: 1})
}

func (w *world) unmirror(id string) {
	w.sessions = slices.DeleteFunc(w.sessions, func(m awsapi.MirrorSession) bool { return m.ID == "tms-"+id })
}

// look resolves at a second, and returns the tenures that are in the table then:
// name, VNI, source, from and until, each in seconds.
func (w *world) look(n int) []string {
	w.show(w.shown, w.last)
	w.last = second(n).UnixNano()
	w.known, w.saved, _ = resolve(&w.inventory, w.known, second(n))
	return w.inTable(n)
}

// inTable returns the tenures that are in the table at a second.
func (w *world) inTable(n int) (got []string) {
	for i := range w.known {
		if t := &w.known[i]; t.inTable(second(n)) {
			got = append(got, line(&t.Entry))
		}
	}
	return got
}

func line(e *session.Entry) string {
	return fmt.Sprintf("%s %d %s %s-%s", e.Name, e.VNI, e.Source, seconds(e.From), seconds(e.Until))
}

func seconds(ns int64) string {
	if ns == 0 {
		return ""
	}
	return fmt.Sprint((ns - epoch.UnixNano()) / int64(time.Second))
}

func check(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (w *world) changes() (all []string) {
	for i := range w.saved {
		all = append(all, line(&w.saved[i]))
	}
	return all
}

func TestTenureOfTask(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 102)
	w.mirror("1", 7, a)
	check(t, "task not found yet", w.look(105), "tms-1 7 10.0.0.1 102-")
	if e := w.known[0].Entry; e.Workload.Labels != nil || !e.Learned {
		t.Errorf("half an identity has labels, or is not learnt: %+v", e)
	}
	w.tasks[a.ID] = taskOf(a, 100)
	w.tasks[a.ID].LastStatus = "PENDING"
	check(t, "task found", w.look(110), "web-aaaaaaaa 7 10.0.0.1 100-")
	if e := w.known[0]; e.Workload.ContainerIDs != nil {
		t.Errorf("a task that is pending has all its containers: %v", e.Workload.ContainerIDs)
	}
	w.tasks[a.ID].LastStatus = "RUNNING"
	w.look(120)
	if e := w.known[0]; !slices.Equal(e.Workload.ContainerIDs, []string{"a-1"}) {
		t.Errorf("containers %v", e.Workload.ContainerIDs)
	}
	check(t, "journal", w.changes(), "web-aaaaaaaa 7 10.0.0.1 100-")
	check(t, "nothing new", w.look(130), "web-aaaaaaaa 7 10.0.0.1 100-")
	check(t, "journal", w.changes())

	delete(w.tasks, a.ID)
	check(t, "the task cannot be asked for any more", w.look(140), "web-aaaaaaaa 7 10.0.0.1 100-")
	check(t, "journal", w.changes())

	w.unmirror("1")
	w.stopped[w.known[0].Workload.TaskARN] = second(145)
	check(t, "stopped", w.look(150), "web-aaaaaaaa 7 10.0.0.1 100-145")
	check(t, "journal", w.changes(), "web-aaaaaaaa 7 10.0.0.1 100-145")
	check(t, "within the minute", w.look(209), "web-aaaaaaaa 7 10.0.0.1 100-145")
	check(t, "a minute later", w.look(210))
	check(t, "journal", w.changes())
	if len(w.known) != 0 {
		t.Errorf("kept %v", w.known)
	}
}

func TestTenureEndsAfterAPoll(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 100)
	w.tasks[a.ID] = taskOf(a, 100)
	w.mirror("1", 7, a)
	w.look(110)
	gone := w.sessions
	w.sessions = nil
	check(t, "missed once", w.look(120), "web-aaaaaaaa 7 10.0.0.1 100-")
	w.sessions = gone
	check(t, "back", w.look(130), "web-aaaaaaaa 7 10.0.0.1 100-")
	w.sessions = nil
	check(t, "missed once", w.look(140), "web-aaaaaaaa 7 10.0.0.1 100-")
	check(t, "missed again at once", w.look(142), "web-aaaaaaaa 7 10.0.0.1 100-")
	check(t, "missed by a poll less a second", w.look(149), "web-aaaaaaaa 7 10.0.0.1 100-")
	check(t, "missed by a poll", w.look(150), "web-aaaaaaaa 7 10.0.0.1 100-150")
	w.sessions = gone
	check(t, "back after its end", w.look(160), "web-aaaaaaaa 7 10.0.0.1 100-")
	check(t, "journal", w.changes(), "web-aaaaaaaa 7 10.0.0.1 100-")

	w.interfaces[a.ID] = nil
	check(t, "interface gone once", w.look(170), "web-aaaaaaaa 7 10.0.0.1 100-")
	check(t, "interface gone twice", w.look(180), "web-aaaaaaaa 7 10.0.0.1 100-180")
}

func TestInterfaceNotAsked(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 100)
	w.mirror("1", 7, a)
	want := w.look(110)
	delete(w.interfaces, a.ID) // the call failed
	for n := range 5 {
		check(t, "interface not asked", w.look(120+10*n), want...)
	}
	w.unmirror("1")
	check(t, "missed once", w.look(170), want...)
	w.mirror("1", 7, a)
	delete(w.interfaces, a.ID)
	check(t, "back, and not asked", w.look(180), want...)
	w.unmirror("1")
	check(t, "missed once more", w.look(190), want...)
}

func TestAddressReused(t *testing.T) {
	w := newWorld()
	a, b := eni("a", "10.0.0.1", 100), eni("b", "10.0.0.1", 117)
	w.tasks[a.ID], w.tasks[b.ID] = taskOf(a, 100), taskOf(b, 115)
	w.mirror("1", 7, a)
	w.look(110)
	w.unmirror("1")
	w.mirror("2", 7, b)
	check(t, "at once", w.look(120), "web-aaaaaaaa 7 10.0.0.1 100-120", "web-bbbbbbbb 7 10.0.0.1 115-")

	w.mirror("3", 7, eni("a", "10.0.0.1", 100)) // listed late
	check(t, "both are listed", w.look(130), "web-aaaaaaaa 7 10.0.0.1 100-120", "web-bbbbbbbb 7 10.0.0.1 115-", "web-aaaaaaaa 7 10.0.0.1 120-")
}

func TestSessionCreatedAgain(t *testing.T) {
	for _, vni := range []uint32{7, 8} {
		w := newWorld()
		a := eni("a", "10.0.0.1", 102)
		w.tasks[a.ID] = taskOf(a, 100)
		w.mirror("1", 7, a)
		w.look(110)
		w.unmirror("1")
		w.mirror("2", vni, a)
		w.look(120)
		got := w.look(130)
		if vni == 7 {
			check(t, "with the same VNI", got, "web-aaaaaaaa 7 10.0.0.1 100-120", "web-aaaaaaaa 7 10.0.0.1 120-")
		} else {
			check(t, "with another VNI", got, "web-aaaaaaaa 7 10.0.0.1 100-130", "web-aaaaaaaa 8 10.0.0.1 110-")
		}
	}
}

// A session that is new begins after the list that lacked it, unless AWS was late:
// who had the same interface and VNI before may be long forgotten.
func TestSessionCreatedLater(t *testing.T) {
	a := eni("a", "10.0.0.1", 102)
	id := session.Identity{VNI: 7, Source: packet.AddrFrom(a.Primary)}
	for _, tt := range []struct {
		name  string
		heard map[sender]int64 // seconds
		want  int
	}{
		{"nobody was heard", nil, 250},
		{"of the interface, before", map[sender]int64{{id, a.MAC}: 245}, 245},
		{"of the interface, after", map[sender]int64{{id, a.MAC}: 255}, 250},
		{"of any interface", map[sender]int64{{id, [6]byte{}}: 246}, 246},
		{"of both", map[sender]int64{{id, a.MAC}: 247, {id, [6]byte{}}: 246}, 246},
		{"of another interface", map[sender]int64{{id, [6]byte{9}}: 245}, 250},
		{"of another VNI", map[sender]int64{{session.Identity{VNI: 8, Source: id.Source}, a.MAC}: 245}, 250},
		{"before the task", map[sender]int64{{id, a.MAC}: 90}, 100},
	} {
		w := newWorld()
		w.tasks[a.ID] = taskOf(a, 100)
		w.mirror("1", 7, a)
		w.look(110)
		w.unmirror("1")
		for n := 120; n <= 250; n += 10 {
			w.look(n)
		}
		if len(w.known) != 0 {
			t.Fatal("not forgotten, so this shows nothing")
		}
		for from, n := range tt.heard {
			tt.heard[from] = second(int(n)).UnixNano()
		}
		w.heard = func() map[sender]int64 { return tt.heard }
		w.mirror("2", 7, a)
		delete(w.tasks, a.ID)
		early := max(tt.want, 102)
		check(t, tt.name+", its task not found", w.look(260), fmt.Sprintf("tms-2 7 10.0.0.1 %d-", early))
		w.tasks[a.ID] = taskOf(a, 100)
		check(t, tt.name, w.look(270), fmt.Sprintf("web-aaaaaaaa 7 10.0.0.1 %d-", tt.want))
	}
}

// One that was listed and could not be matched is not new.
func TestSessionMatchedLater(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 102)
	w.look(90)
	w.mirror("1", 7, a)
	delete(w.interfaces, a.ID)
	check(t, "not asked", w.look(110))
	w.interfaces[a.ID] = nil
	check(t, "not there", w.look(120))
	w.interfaces[a.ID] = a
	check(t, "there", w.look(130), "tms-1 7 10.0.0.1 102-")
}

func TestVNIModified(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 102)
	w.tasks[a.ID] = taskOf(a, 100)
	w.mirror("1", 7, a)
	w.look(110)
	w.sessions[0].VNI = 8
	check(t, "modified", w.look(120), "web-aaaaaaaa 7 10.0.0.1 100-120", "web-aaaaaaaa 8 10.0.0.1 110-")
	w.sessions[0].VNI = 7
	check(t, "and back", w.look(130), "web-aaaaaaaa 7 10.0.0.1 100-", "web-aaaaaaaa 8 10.0.0.1 110-130")
	if n := len(w.known); n != 2 {
		t.Errorf("%d tenures", n) // two of one holder would be one session in the table
	}
}

func TestTaskStoppedAndStillListed(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 102)
	w.tasks[a.ID] = taskOf(a, 100)
	w.tasks[a.ID].LastStatus, w.tasks[a.ID].Stopped = "STOPPED", second(110)
	w.mirror("1", 7, a)
	check(t, "late", w.look(300), "web-aaaaaaaa 7 10.0.0.1 100-110")
	check(t, "after a minute", w.look(360))
	check(t, "journal", w.changes())
	check(t, "and on", w.look(420))
	check(t, "journal", w.changes())
	w.unmirror("1")
	w.look(430)
	if len(w.known) != 0 {
		t.Errorf("kept %v", w.known)
	}
}

func TestSeveralSessionsOfOneInterface(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 102)
	w.tasks[a.ID] = taskOf(a, 100)
	w.mirror("2", 7, a)
	w.sessions[0].Number = 20
	w.mirror("1", 7, a)
	w.mirror("3", 9, a)
	check(t, "the lowest number first", w.look(110),
		"web-aaaaaaaa-tms-1 7 10.0.0.1 100-", "web-aaaaaaaa-tms-2 7 10.0.0.1 100-", "web-aaaaaaaa-tms-3 9 10.0.0.1 100-")
}

func TestOtherScopesAreLeftAlone(t *testing.T) {
	w := newWorld()
	w.mirror("1", 7, eni("a", "10.0.0.1", 100))
	w.look(110)
	other := newWorld()
	other.scope, other.known = new(scope), w.known
	for n := range 3 {
		check(t, "another scope", other.look(120+10*n), "tms-1 7 10.0.0.1 100-")
	}
}

func TestBegin(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 0)
	a.Attached = time.Time{}
	w.mirror("1", 7, a)
	check(t, "since when is not known", w.look(110), "tms-1 7 10.0.0.1 -")
	b := eni("b", "10.0.0.1", 0)
	b.Attached = time.Time{}
	w.sessions = nil
	w.mirror("2", 7, b)
	check(t, "after another", w.look(120), "tms-1 7 10.0.0.1 -120", "tms-2 7 10.0.0.1 120-")
}

func TestResolveChangesNothing(t *testing.T) {
	w := newWorld()
	w.mirror("1", 7, eni("a", "10.0.0.1", 100))
	w.look(110)
	w.unmirror("1")
	before := slices.Clone(w.known)
	resolve(&w.inventory, w.known, second(120))
	if !reflect.DeepEqual(before, w.known) {
		t.Errorf("changed to %+v", w.known)
	}
}

func TestSkipped(t *testing.T) {
	w := newWorld()
	good := eni("a", "10.0.0.1", 100)
	bare := eni("b", "10.0.0.2", 100)
	bare.Primary = netip.Addr{}
	w.mirror("1", 0, good)
	w.mirror("2", session.MaxVNI, good)
	w.mirror("3", session.MaxVNI+1, good)
	w.mirror("4", 1, bare)
	w.mirror("5\n", 1, good)
	w.mirror(strings.Repeat("x", 61), 1, good)
	w.mirror("6", 1, &awsapi.Interface{ID: "eni-gone"})
	w.interfaces["eni-gone"] = nil
	_, _, skipped := resolve(&w.inventory, nil, second(0))
	want := map[string]int{"no_vni": 2, "no_address": 1, "odd": 2, "no_interface": 1}
	if !reflect.DeepEqual(skipped, want) {
		t.Errorf("skipped %v, want %v", skipped, want)
	}
	check(t, "the one that is good", w.look(1), "tms-2 16777215 10.0.0.1 100-")
}
