package ecsmeta

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

func TestMain(m *testing.M) { leak.Check(m) }

// documented is the shape of the answer in AWS's documentation, with fields that
// are of no use here.
const documented = `{
  "Cluster": "arn:aws:ecs:us-west-2:111122223333:cluster/default",
  "TaskARN": "arn:aws:ecs:us-west-2:111122223333:task/default/e9028f8d5d8e4f258373e7b93ce9a3c3",
  "Family": "curltest", "Revision": "3", "DesiredStatus": "RUNNING", "KnownStatus": "RUNNING",
  "Limits": {"CPU": 0.25, "Memory": 512}, "PullStartedAt": "2020-10-08T20:47:16.053330955Z",
  "AvailabilityZone": "us-west-2d", "LaunchType": "FARGATE", "ClockDrift": {"ClockErrorBound": 0.5},
  "Containers": [
    {"DockerId": "e9028f8d5d8e4f258373e7b93ce9a3c3-2495160603", "Name": "curl", "Labels": {"a": "b"},
     "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.0.108"], "AttachmentIndex": 0,
       "MACAddress": "0a:62:17:7a:36:68", "IPv4SubnetCIDRBlock": "10.0.0.0/24", "DomainNameServers": ["10.0.0.2"],
       "PrivateDNSName": "ip-10-0-0-108.ec2.internal", "SubnetGatewayIpv4Address": "10.0.0.1/24"}]},
    {"DockerId": "a", "Name": "other",
     "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.9.9"], "IPv6Addresses": ["fd00::9"],
       "MACAddress": "0a:99:99:99:99:99", "IPv4SubnetCIDRBlock": "10.0.9.9/24", "IPv6SubnetCIDRBlock": "fd00::/64"}]}
  ]}`

var (
	macOne = [6]byte{0x0a, 0x62, 0x17, 0x7a, 0x36, 0x68}
	macTwo = [6]byte{0x0a, 0x99, 0x99, 0x99, 0x99, 0x99}
)

// serve has the endpoint answer by h, however late, and questions follow one another
// at once.
func serve(t *testing.T, h http.HandlerFunc) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	t.Setenv(Variable, s.URL+"/v4/e9028f8d-2495160603")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	before, short := pauses, timeout
	pauses, timeout = make([]time.Duration, len(before)), time.Minute
	t.Cleanup(func() { pauses, timeout = before, short })
}

func write(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(text)) }
}

func TestDocumentedTask(t *testing.T) {
	var path atomic.Value
	serve(t, func(w http.ResponseWriter, r *http.Request) {
		path.Store(r.URL.Path)
		write(documented)(w, r)
	})
	m, err := Task(t.Context())
	if err != nil || path.Load() != "/v4/e9028f8d-2495160603/task" {
		t.Fatal(path.Load(), err)
	}
	w := packet.Workload{
		AccountID: "111122223333", Region: "us-west-2", SubnetCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
		Cluster: "default", ClusterARN: "arn:aws:ecs:us-west-2:111122223333:cluster/default",
		TaskARN:           "arn:aws:ecs:us-west-2:111122223333:task/default/e9028f8d5d8e4f258373e7b93ce9a3c3",
		TaskDefinitionARN: "arn:aws:ecs:us-west-2:111122223333:task-definition/curltest:3",
		ContainerIDs:      []string{"a", "e9028f8d5d8e4f258373e7b93ce9a3c3-2495160603"},
	}
	want := session.Entry{
		Name: "curltest-e9028f8d", VNI: 7, MAC: macOne, Workload: w,
		Addresses: []packet.Addr{packet.AddrFrom4([4]byte{10, 0, 0, 108})},
	}
	if got := m.Entry(7, macOne); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
	other := m.Entry(7, macTwo)
	if len(other.Addresses) != 2 || other.Addresses[0].String() != "10.0.9.9" || len(other.Workload.SubnetCIDRs) != 2 ||
		other.Workload.SubnetCIDRs[0].String() != "10.0.9.0/24" || other.MAC != macTwo {
		t.Errorf("%+v", other)
	}
	for _, mac := range [][6]byte{{}, {2}} { // of two interfaces neither is meant, or none
		if none := m.Entry(7, mac); none.Addresses != nil || none.Workload.SubnetCIDRs != nil || none.MAC != mac {
			t.Errorf("%+v", none)
		}
	}
	m.Containers = m.Containers[:1]
	if got := m.Entry(7, [6]byte{}); got.MAC != macOne || len(got.Addresses) != 1 {
		t.Errorf("the only interface: %+v", got)
	}
}

// A cluster by its name, in another partition, on an instance, in a service.
func TestTaskOnInstance(t *testing.T) {
	m := Meta{
		Cluster: "prod", ServiceName: "web", Family: "f", Revision: "12", VPCID: "vpc-1",
		TaskARN: "arn:aws-cn:ecs:cn-north-1:111122223333:task/prod/0123",
	}
	e := m.Entry(1, macOne)
	w := e.Workload
	if e.Name != "web-0123" || w.ClusterARN != "arn:aws-cn:ecs:cn-north-1:111122223333:cluster/prod" || w.Region != "cn-north-1" ||
		w.TaskDefinitionARN != "arn:aws-cn:ecs:cn-north-1:111122223333:task-definition/f:12" || w.VPCID != "vpc-1" || w.Service != "web" {
		t.Errorf("%+v", e)
	}
}

func TestAddressesThatNoInterfaceHas(t *testing.T) {
	n := Network{
		IPv4Addresses: []string{"10.0.0.1", "", "10.0.0.256", "0.0.0.0", "224.0.0.1"},
		IPv6Addresses: []string{"fe80::1%eth0", "fd00::1", "::"},
	}
	if got := n.addresses(); len(got) != 2 || got[0].String() != "10.0.0.1" || got[1].String() != "fd00::1" {
		t.Error(got)
	}
	for _, text := range []string{"", "0a:62:17:7a:36", "01:00:5e:00:00:01", "00:00:00:00:fe:80:00:00"} {
		if got := (&Network{MACAddress: text}).mac(); got != [6]byte{} {
			t.Errorf("%q: %x", text, got)
		}
	}
}

func TestNoTask(t *testing.T) {
	t.Setenv(Variable, "")
	if m, err := Task(t.Context()); m != nil || !errors.Is(err, ErrNone) {
		t.Error(m, err)
	}
	for _, bad := range []string{"169.254.170.2/v4", "https://169.254.170.2/v4", "http:///v4", "http://[::1", "file:///etc/passwd"} {
		t.Setenv(Variable, bad)
		if m, err := Task(t.Context()); m != nil || err == nil || errors.Is(err, ErrNone) {
			t.Error(bad, m, err)
		}
	}
}

// What cannot be used is asked for again, and said in one line in the end.
func TestAnswersThatAreNone(t *testing.T) {
	big := `{"TaskARN": "` + strings.Repeat("x", maxAnswer) + `"}`
	for name, answer := range map[string]http.HandlerFunc{
		"an error":   func(w http.ResponseWriter, r *http.Request) { http.Error(w, "not yet", http.StatusNotFound) },
		"elsewhere":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
		"no JSON":    write("<html>"),
		"too large":  write(big),
		"empty":      write("{}"),
		"no ARN":     write(`{"TaskARN": "e9028f8d"}`),
		"of a group": write(`{"TaskARN": "arn:aws:ecs:r:1:service/a/b"}`),
		"cut off": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			write("{")(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				answer(w, r)
			})
			m, err := Task(t.Context())
			if m != nil || err == nil || strings.Contains(err.Error(), "\n") || asked.Load() != 5 {
				t.Error(m, err, asked.Load())
			}
		})
	}
	t.Run("ready in the end", func(t *testing.T) {
		var asked atomic.Int32
		serve(t, func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) < 5 {
				http.Error(w, "not yet", http.StatusInternalServerError)
				return
			}
			write(documented)(w, r)
		})
		if m, err := Task(t.Context()); err != nil || m.Family != "curltest" {
			t.Error(m, err)
		}
	})
	t.Run("given up", func(t *testing.T) {
		serve(t, write("{}"))
		pauses = []time.Duration{time.Hour}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if m, err := Task(ctx); m != nil || !errors.Is(err, context.Canceled) {
			t.Error(m, err)
		}
	})
}

// What the fake endpoint says of a task is what its ECS says of it.
func TestFakeTask(t *testing.T) {
	f := awsfake.New(nil)
	task, err := f.RunTask(awsfake.Run{Account: "111122223333", Region: "eu-central-1", Cluster: "prod", Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	subnet := netip.MustParsePrefix("10.0.0.0/20")
	for _, mac := range []string{"", "0a:62:17:7a:36:68"} {
		serve(t, awsfake.TaskMetadata(task, mac, subnet).ServeHTTP)
		m, err := Task(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		e := m.Entry(5, [6]byte{})
		w := e.Workload
		if w.TaskARN != task.ARN || w.ClusterARN != task.ClusterARN || w.TaskDefinitionARN != task.TaskDefinitionARN || w.Service != "web" ||
			len(w.ContainerIDs) != 1 || w.ContainerIDs[0] != task.Containers[0].RuntimeID || len(e.Addresses) != 1 ||
			!subnet.Contains(e.Addresses[0].Netip()) || w.SubnetCIDRs[0] != subnet || (e.MAC == macOne) != (mac != "") {
			t.Errorf("%+v of %+v", e, task)
		}
	}
}
