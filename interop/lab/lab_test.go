package lab

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/judge"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/record"
)

// TestEvents: what programs say to each other over mirrored interfaces arrives as
// events, as many as the ledger says, which have every packet in them once.
func TestEvents(t *testing.T) {
	lab.Need(t, "go", "curl", "ping")
	periscope, hecreceiver := programs(t)
	l := lab.New(t)
	offer(t, l.Host)
	c := collect(t, l, periscope, hecreceiver, "all")
	l.Connect()
	for _, m := range l.Mirrors { // no ARP, which is not part of a flow
		l.Client.Run("ip", "neighbour", "replace", m.Host.String(), "lladdr", m.MAC, "dev", m.Interface, "nud", "permanent")
		l.Host.Run("ip", "neighbour", "replace", m.Client.String(), "lladdr", m.MAC[:len(m.MAC)-1]+"1", "dev", m.Interface, "nud", "permanent")
	}
	talk(t, l)
	c.settle()
	s, events, _ := c.finish()

	sink := s.Sinks["splunk"]
	if !s.Balanced || s.lost() != 0 || sink.Pending != 0 || sink.Stored != sink.Offered {
		t.Fatalf("account %+v", s)
	}
	uids := make(map[string]bool)
	kinds := make(map[string]int)
	packets := make(map[string]int) // of all sessions, by source type
	for _, e := range events {
		uids[e.UID()] = true
		kinds[e.Sourcetype+" "+e.Index]++
		keys, _ := e.Event.(map[string]any)
		switch e.Sourcetype {
		case record.FlowSourcetype:
			packets[e.Sourcetype] += int(keys["packets"].(float64))
			identified(t, keys, "direction", "transport", "community_id")
		case record.FrameSourcetype:
			packets[e.Sourcetype]++
			identified(t, keys)
		case record.VPCFlowSourcetype:
			n, err := strconv.Atoi(strings.Fields(e.Event.(string))[8])
			if err != nil {
				t.Fatalf("%v: %v", err, e.Event)
			}
			packets[e.Sourcetype] += n
		}
	}
	if len(uids) != sink.Stored || len(events) != sink.Stored {
		t.Errorf("%d events arrived, %d different, want %d", len(events), len(uids), sink.Stored)
	}
	types := []string{"aws:cloudwatchlogs:vpcflow net", "periscope:flow net", "periscope:frame net", "periscope:ledger ops"}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, types) {
		t.Errorf("source types and indexes %v", kinds)
	}
	for _, sourcetype := range []string{record.FlowSourcetype, record.FrameSourcetype, record.VPCFlowSourcetype} {
		if packets[sourcetype] != s.Delivered.Packets {
			t.Errorf("%d packets in events of %s, want %d", packets[sourcetype], sourcetype, s.Delivered.Packets)
		}
	}
	t.Logf("%v of %d packets", kinds, s.Delivered.Packets)
}

// identified fails unless an event says what the session file does, and has the
// other keys.
func identified(t *testing.T, keys map[string]any, others ...string) {
	t.Helper()
	want := map[any]map[string]any{
		"web": {
			"vni": 101.0, "interface_id": "eni-101", "account_id": "111122223333", "region": "eu-central-1", "vpc_id": "vpc-1",
			"ecs_cluster_name": "prod", "ecs_service_name": "web", "ecs_task_id": "0123456789abcdef0123456789abcdef",
		},
		"db": {"vni": 202.0, "interface_id": "eni-202"},
	}[keys["session"]]
	if want == nil {
		t.Fatalf("session %v", keys["session"])
	}
	for key, value := range want {
		if keys[key] != value {
			t.Fatalf("%s is %v, want %v: %v", key, keys[key], value, keys)
		}
	}
	for _, key := range append(others, "src", "dest", "event_uid") {
		if keys[key] == nil {
			t.Fatalf("no %s: %v", key, keys)
		}
	}
}

// talk has programs talk over both mirrored interfaces in both families.
func talk(t *testing.T, l *lab.Lab) {
	t.Helper()
	for _, m := range l.Mirrors {
		for _, host := range []netip.Addr{m.Host, m.Host6} {
			url := "http://" + netip.AddrPortFrom(host, 80).String()
			for range 10 {
				if got := l.Client.Run("curl", "-sSf", url+"/100000"); len(got) != 100_000 {
					t.Errorf("%s: %d bytes", url, len(got))
				}
			}
			l.Client.Run("ping", "-c", "3", "-i", "0.01", "-W", "5", "-s", "8900", host.String())
		}
	}
}

// known and unknown are addresses that the host reaches by the client: one that it has
// talked to before, and one that it has not.
const known, unknown = "198.51.100.7", "203.0.113.10"

// TestSearches: the add-on's saved searches find in the events of real traffic what
// they are for, and nothing in traffic just below that.
func TestSearches(t *testing.T) {
	lab.Need(t, "go", "curl", "ping")
	periscope, hecreceiver := programs(t)
	l := lab.New(t)
	offer(t, l.Host)
	offer(t, l.Client)
	first := l.Mirrors[0]
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	search := func(name string, traffic func(*collector), want map[string][]string) {
		t.Helper()
		c := collect(t, l, periscope, hecreceiver, "off")
		traffic(c)
		s, events, lines := c.finish()
		var found []map[string]any
		for _, line := range lines {
			found = append(found, judge.SplunkEvent(t, line))
		}
		got := make(map[string][]string)
		for search, names := range judge.SplunkSearches(t, "../../deploy/splunk/TA-periscope", found, known) {
			got[strings.TrimPrefix(search, "Periscope - ")] = names
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s: found %v, want %v", name, got, want)
		}
		t.Logf("%s: %d events, %d of %d frames lost, found %v", name, len(events), s.lost(), s.lost()+s.Received.Packets, got)
	}
	l.Connect()
	for _, address := range []string{known, unknown} {
		l.Client.Run("ip", "address", "add", address+"/32", "dev", first.Interface)
		l.Host.Run("ip", "route", "add", address+"/32", "via", first.Client.String())
	}

	search("ordinary", func(*collector) {
		talk(t, l)
		as(t, l.Client, "scan", first.Host.String(), "90")
		send(t, l.Host, known, 50_000_000)
	}, nil)
	search("suspect", func(*collector) {
		as(t, l.Client, "scan", first.Host.String(), "110")
		send(t, l.Host, unknown, 505_000_000)
	}, map[string][]string{
		"Port scan":                {first.Client.String()},
		"New external destination": {unknown},
		"Large outbound transfer":  {first.Host.String() + " " + unknown},
	})
	search("too much", func(c *collector) {
		c.stopped(func() { send(t, l.Host, known, 400_000_000) }) // more than its sockets hold
		l.Client.Run("ping", "-c", "3", "-i", "0.01", "-W", "5", first.Host.String())
	}, map[string][]string{"Collector losing packets": {host}})
}

// send has the host send that many bytes to an address, no faster than 60 MB a
// second.
func send(t *testing.T, n *lab.Namespace, to string, size int) {
	t.Helper()
	got := n.Run("sh", "-c", fmt.Sprintf("head -c %d /dev/zero | curl -sSf --limit-rate 60M -T - http://%s/upload", size, to))
	if got != fmt.Sprint(size) {
		t.Errorf("%s got %s bytes of %d", to, got, size)
	}
}
