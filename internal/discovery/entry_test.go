package discovery

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/session"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("ä", 100) // of two bytes
	tests := []struct {
		name     string
		instance string
		service  string
		several  bool
		want     string
	}{
		{"service", "", "web", false, "web-aaaaaaaa"},
		{"no service", "", "-", false, "front-aaaaaaaa"},
		{"several sessions", "", "web", true, "web-aaaaaaaa-tms-1"},
		{"a long service", "", long, false, strings.Repeat("ä", 64)},
		{"a long service, several sessions", "", long, true, strings.Repeat("ä", 61) + "-tms-1"},
		{"unprintable", "", "w\neb\x80\u200b", false, "w_eb__-aaaaaaaa"},
		{"instance", "db", "", false, "db"},
		{"an instance without a name", "-", "", false, "i-1"},
		{"an instance named as unknown ones are", "vni-7", "", false, "tms-1"},
		{"an instance named as a stranger", "vni-7-10.0.0.9", "", false, "tms-1"},
		{"nearly so", "vni-7x", "", false, "vni-7x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			a := eni("a", "10.0.0.1", 100)
			if tt.service == "" {
				a.Description, a.InstanceID = "", "i-1"
				w.instances["i-1"] = &awsapi.Instance{ID: "i-1", Name: strings.TrimPrefix(tt.instance, "-")}
			} else {
				w.tasks[a.ID] = taskOf(a, 100)
				w.tasks[a.ID].Service = strings.TrimPrefix(tt.service, "-")
			}
			w.mirror("1", 7, a)
			if tt.several {
				w.mirror("2", 8, a)
			}
			w.look(110)
			if got := w.known[0].Name; got != tt.want {
				t.Errorf("got %q (%d bytes), want %q", got, len(got), tt.want)
			}
		})
	}
}

func TestLabels(t *testing.T) {
	session := map[string]string{"team": "blue", "env": "prod", "": "x"}
	task := map[string]string{"team": "red"}
	if got, want := labels(task, session), (map[string]string{"team": "red", "env": "prod"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := labels(nil, map[string]string{}); got != nil {
		t.Errorf("no tags give %v", got)
	}
	many := make(map[string]string)
	for i := range 60 {
		many[fmt.Sprintf("%03d", i)+strings.Repeat("k", 200)] = strings.Repeat("v", 300)
	}
	got := labels(many)
	for k, v := range got {
		if len(k) != maxLabelKey || len(v) != maxLabelValue || k > "050" {
			t.Errorf("kept %q: %d bytes", k, len(v))
		}
	}
	if len(got) != maxLabels {
		t.Errorf("%d labels", len(got))
	}
}

func TestAttachment(t *testing.T) {
	for description, want := range map[string]string{
		"arn:aws:ecs:eu-central-1:111122223333:attachment/5f0c-1":       "5f0c-1",
		"arn:aws-us-gov:ecs:us-gov-west-1:111122223333:attachment/5f0c": "5f0c",
		"arn:aws:ecs:eu-central-1:111122223333:attachment/":             "",
		"arn:aws:other:eu-central-1:111122223333:attachment/5f0c":       "",
		"see arn:aws:ecs:eu-central-1:111122223333:attachment/5f0c-1":   "",
		"ELB net/mirror/0123456789abcdef":                               "",
		"":                                                              "",
	} {
		if got := attachment(&awsapi.Interface{Description: description}); got != want {
			t.Errorf("%q: attachment %q, want %q", description, got, want)
		}
	}
}

// What an instance is called is not known when it could not be asked.
func TestInstanceNotAsked(t *testing.T) {
	w := newWorld()
	a := eni("a", "10.0.0.1", 100)
	a.Description, a.InstanceID = "", "i-1"
	w.mirror("1", 7, a)
	w.look(110)
	if e := w.known[0].Entry; e.Name != "i-1" || e.Workload.Labels != nil {
		t.Errorf("not asked: %+v", e)
	}
	w.instances["i-1"] = &awsapi.Instance{ID: "i-1", Name: "db", Tags: map[string]string{"Name": "db"}}
	w.look(120)
	delete(w.instances, "i-1")
	w.look(130)
	if e := w.known[0].Entry; e.Name != "db" || e.Workload.Labels["Name"] != "db" {
		t.Errorf("not asked again: %+v", e)
	}
	w.instances["i-1"] = nil
	w.look(140)
	if e := w.known[0].Entry; e.Name != "i-1" || e.Workload.Labels != nil {
		t.Errorf("not there: %+v", e)
	}
}

// Whatever AWS answers gives an entry that the journal takes and gives back as it
// was, or none. It is no fuzz test, since that would build the SDK anew, which
// takes many minutes.
func TestEntriesFitTheJournal(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{
		"", "x", "vni-7", "i-1", "\x00", "\xff\xfe", "a b", "ä", strings.Repeat("ü", 700), strings.Repeat("\n", 90), "/", "a/b/", "%s",
		"arn:aws:ecs:r:1:attachment/x", "arn:aws:ecs:r:1:task/c/0123456789", "arn:aws:ecs:r:1:task-definition/web:7", "tms-1", "\u202e",
	}
	word := func() string { return words[random.IntN(len(words))] }
	addresses := []string{"10.0.0.1", "0.0.0.0", "224.0.0.1", "::", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "fe80::1%eth0"}
	address := func() netip.Addr { return netip.MustParseAddr(addresses[random.IntN(len(addresses))]) }
	instants := []time.Time{{}, epoch, time.Unix(-1, 0), time.Unix(0, 0), time.Unix(1<<40, 0), time.Date(2261, 12, 31, 23, 59, 59, 0, time.UTC)}
	instant := func() time.Time { return instants[random.IntN(len(instants))] }
	taken := 0
	for range 20_000 {
		w := newWorld()
		tags := map[string]string{word(): word(), word(): word()}
		face := &awsapi.Interface{
			ID: word(), Description: word(), InstanceID: word(), OwnerID: word(), VPCID: word(), AZID: word(), Tags: tags,
			Primary: address(), Addresses: []netip.Addr{address(), address(), {}}, Attached: instant(), MAC: [6]byte{byte(random.IntN(4))},
		}
		w.interfaces[face.ID] = face
		w.sessions = []awsapi.MirrorSession{{
			ID: word(), InterfaceID: face.ID, TargetID: word(), VNI: []uint32{0, 7, session.MaxVNI, 1 << 24}[random.IntN(4)],
			PacketLength: []int{-1, 0, 8500, 8501}[random.IntN(4)], Tags: tags,
		}}
		switch random.IntN(3) {
		case 0:
			w.tasks[face.ID] = &awsapi.Task{
				ARN: word(), ClusterARN: word(), Service: word(), TaskDefinitionARN: word(), LastStatus: "RUNNING",
				ContainerIDs: []string{word(), word()}, Created: instant(), Stopped: instant(), Tags: tags,
			}
		case 1:
			w.instances[face.InstanceID] = &awsapi.Instance{ID: face.InstanceID, Name: word(), Tags: tags}
		}
		w.look(1)
		for i := range w.known {
			taken++
			e := &w.known[i].Entry
			data, err := json.Marshal(e)
			var back session.Entry
			if err == nil {
				err = json.Unmarshal(data, &back)
			}
			back.Learned = true
			if err != nil || !reflect.DeepEqual(&back, e) || len(data) > 40<<10 {
				t.Fatalf("%v, %d bytes\n%+v\ncame back as\n%+v", err, len(data), e, back)
			}
			if len(e.Name) > maxName || session.Reserved(e.Name) || e.Name == "" || strings.ContainsFunc(e.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("name %q", e.Name)
			}
		}
	}
	if taken < 100 {
		t.Errorf("%d entries say little", taken)
	}
}

// Networks that could not be asked this time are as they were.
func TestNetworksNotAsked(t *testing.T) {
	w := newWorld()
	block := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/16")}
	w.vpcs = map[string]*awsapi.VPC{"vpc-1": {ID: "vpc-1", CIDRs: block}}
	w.subnets = map[string]*awsapi.Subnet{"subnet-1": {ID: "subnet-1", CIDRs: block}}
	w.mirror("1", 7, eni("a", "10.0.0.1", 100))
	w.look(110)
	w.vpcs, w.subnets = nil, nil
	w.look(120)
	wl := &w.known[0].Workload
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}
	if !slices.Equal(wl.VPCCIDRs, want) || !slices.Equal(wl.SubnetCIDRs, want) || len(w.saved) != 0 {
		t.Errorf("networks %v and %v, want %v; changed %v", wl.VPCCIDRs, wl.SubnetCIDRs, want, w.changes())
	}
}
