package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/ecsmeta"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session/announce"
	"github.com/periscope-collector/periscope/tap"
)

// A farEnd is a network namespace at the other end of an interface of the test's. Both
// go with the test.
type farEnd struct {
	t             *testing.T
	namespace     string
	name, mac     string // of the interface here
	address, here string
}

func newFarEnd(t *testing.T) *farEnd {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "needs root to make an interface: run the test as root")
	}
	name := fmt.Sprintf("tap%d", os.Getpid())
	f := &farEnd{t: t, namespace: "periscope-" + name, name: name, mac: "02:00:00:00:77:02", address: "198.18.77.2", here: "198.18.77.1"}
	inside := "netns exec " + f.namespace + " ip "
	for _, args := range []string{
		"netns add " + f.namespace,
		"link add " + name + " address " + f.mac + " type veth peer name far netns " + f.namespace,
		inside + "address add " + f.address + "/30 dev far",
		inside + "link set far up",
		"address add " + f.here + "/30 dev " + name,
		"link set " + name + " up",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
		if strings.HasPrefix(args, "netns add") {
			t.Cleanup(func() {
				exec.Command("ip", "link", "delete", name).Run()
				exec.Command("ip", "netns", "delete", f.namespace).Run()
			})
		}
	}
	return f
}

// listen returns a socket over there. Its thread ends with the goroutine.
func (f *farEnd) listen(port int) *net.UDPConn {
	f.t.Helper()
	var conn *net.UDPConn
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		file, err := os.Open("/run/netns/" + f.namespace)
		if err == nil {
			defer file.Close()
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(f.address), Port: port})
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	return conn
}

const filterOfSend = `filters:
  - name: other
    rules: []
  - name: out
    rules:
      - {number: 1, action: accept, direction: egress, protocol: 17, source: 0.0.0.0/0, destination: 198.18.77.2/32, destination_ports: 5000}
`

// The program in a task mirrors what the filter accepts, says whose it is, first
// and last, and prints what became of it.
func TestSendInterface(t *testing.T) {
	far := newFarEnd(t)
	c := far.listen(0)
	far.listen(5000)
	dir := t.TempDir()
	filters := writeFile(t, filepath.Join(dir, "filters.yaml"), []byte(filterOfSend))
	const arn = "arn:aws:ecs:eu-central-1:111122223333:task/prod/0123456789abcdef0123456789abcdef"
	task := awsfake.Task{ARN: arn}
	metadata := httptest.NewServer(awsfake.TaskMetadata(task, far.mac, netip.MustParsePrefix("198.18.77.0/30")))
	defer metadata.Close()

	p := newProcess(t, "send", "--to", c.LocalAddr().String(), "--interface", far.name,
		"--filter", filters, "--filter-name", "out", "--limit", "0", "--cpu", "0")
	p.cmd.Env = append(p.cmd.Env, ecsmeta.Variable+"="+metadata.URL+"/v4/x")
	p.start().waitLog("msg=mirroring ", 1)
	out, err := net.Dial("udp", "198.18.77.2:5000")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for range 3 {
		if _, err := out.Write([]byte("said")); err != nil {
			t.Fatal(err)
		}
	}
	var frames [][]byte
	take := func(what string, want int) {
		t.Helper()
		eventually(t, what, func() bool {
			for _, frame := range arrived(t, c, tap.VNI(arn), 1) {
				if e, err := announce.Parse(frame); err == nil && e.Until == 0 && len(frames) > 0 {
					continue // which it says every 10 s
				}
				frames = append(frames, frame)
			}
			return len(frames) >= want
		})
	}
	take("an announcement and three frames have arrived", 4)
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK {
		t.Errorf("exit status %d", code)
	}
	take("the last announcement has arrived", 5)
	if len(frames) != 5 {
		t.Fatalf("%d frames", len(frames))
	}
	for i, frame := range frames {
		e, err := announce.Parse(frame)
		switch i {
		case 0, 4:
			if err != nil || e.Workload.TaskARN != arn || e.VNI != tap.VNI(arn) || e.From == 0 || (e.Until != 0) != (i == 4) {
				t.Errorf("frame %d: %+v, %v", i, e, err)
			}
		default:
			if err == nil || !strings.HasSuffix(string(frame), "said") || frame[6] != 2 {
				t.Errorf("frame %d: %x", i, frame)
			}
		}
	}
	if want := fmt.Sprintf("mirrored 3 frames, %d bytes; filtered ", 3*(packet.EthernetLen+28+4)); !strings.HasPrefix(p.stdout.String(), want) ||
		!strings.HasSuffix(p.stdout.String(), ", cut 0, truncated 0; dropped none\n") {
		t.Errorf("printed %q", p.stdout.String())
	}
}

func TestSendInterfaceFilters(t *testing.T) {
	filters := writeFile(t, filepath.Join(t.TempDir(), "filters.yaml"), []byte(filterOfSend))
	for want, name := range map[string]string{
		"--filter " + filters + ": it has 2 filters; name one with --filter-name": "",
		`--filter-name "absent": no such filter in ` + filters:                    "absent",
	} {
		if _, err := loadFilter(filters, name); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, s := range []string{"", "0", "1.5Gbit/s", "200 Mbit/s", "10bit/s"} {
		if _, err := parseLimit(s); (err != nil) != (s == "") {
			t.Errorf("limit %q: %v", s, err)
		}
	}
	if rate, _ := parseLimit("1.5Gbit/s"); rate != 1.5e9 {
		t.Errorf("limit %v", rate)
	}
	if share, err := parseShare("12.5%"); share != 0.125 || err != nil {
		t.Errorf("share %v, %v", share, err)
	}
}

// Flags of an interface have bounds, and the collector is elsewhere.
func TestSendInterfaceUsage(t *testing.T) {
	here, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	own := "127.0.0.9"
	for _, a := range here {
		if ip := a.(*net.IPNet).IP; !ip.IsLoopback() && ip.To4() != nil {
			own = ip.String()
		}
	}
	for _, tt := range []struct{ to, flag, value, want string }{
		{"198.18.77.2", "packet-length", "-1", "want 35 to 9001"},
		{"198.18.77.2", "packet-length", "34", "want 35 to 9001"},
		{"198.18.77.2", "packet-length", "9002", "want 35 to 9001"},
		{"198.18.77.2", "cpu", "100.1%", "at most 100%"},
		{"198.18.77.2", "cpu", "5", "such as 5%"},
		{"198.18.77.2", "limit", "200Mbyte/s", "such as 200Mbit/s"},
		{"198.18.77.2", "cpu", "100%", "no such network interface"}, // they are good
		{"198.18.77.2", "packet-length", "35", "no such network interface"},
		{"198.18.77.2", "packet-length", "9001", "no such network interface"},
		{"127.0.0.1", "cpu", "5%", "--to 127.0.0.1:4789: that is this task or host itself"},
		{"127.1.2.3", "cpu", "5%", "itself"},
		{"[::1]", "cpu", "5%", "itself"},
		{"0.0.0.0", "cpu", "5%", "itself"},
		{own, "cpu", "5%", "itself"},
	} {
		_, err := runSend(t, nil, "--interface", "absent0", "--to", tt.to+":4789", "--"+tt.flag, tt.value)
		if !command.IsUsage(err) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// While it waits for the task's metadata it says so, and ends as it always does.
func TestSendInterfaceEndsWhileItWaits(t *testing.T) {
	metadata := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer metadata.Close()
	p := newProcess(t, "send", "--to", "198.18.77.2:4789", "--interface", "lo")
	p.cmd.Env = append(p.cmd.Env, ecsmeta.Variable+"="+metadata.URL+"/v4/x")
	p.start().waitLog("waiting for the task's metadata", 1)
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK || strings.Count(p.log.String(), "\n") != 1 ||
		p.stdout.String() != "mirrored 0 frames, 0 bytes; filtered 0, cut 0, truncated 0; dropped none\n" {
		t.Errorf("exit status %d, printed %q, standard error\n%s", code, p.stdout.String(), p.log.String())
	}
}

// docs/sidecar.md has the flags, with their defaults.
func TestSendInterfacePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	flags := newSendCommand().Flags()
	for _, name := range append([]string{"interface", "to", "vni"}, tapNames...) {
		row := "\n| `--" + name + "` | "
		if d := flags.Lookup(name).DefValue; name == "limit" || name == "cpu" {
			row += "`" + d + "` | "
		}
		if !strings.Contains(string(text), row) {
			t.Errorf("no row %q", row)
		}
	}
	for _, name := range fileNames {
		if !strings.Contains(string(text), "`--"+name+"`") {
			t.Errorf("--%s is not there", name)
		}
	}
}

// Without the right to packet sockets it says what to do.
func TestSendInterfaceWithoutTheRight(t *testing.T) {
	if os.Geteuid() != 0 {
		unavailable(t, "needs root to give up a right: run the test as root")
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		unavailable(t, "needs setpriv: install util-linux")
	}
	p := newProcess(t, "send", "--to", "198.18.77.2:4789", "--interface", "lo")
	p.cmd.Args = append([]string{"setpriv", "--bounding-set=-net_raw", p.cmd.Path}, p.cmd.Args[1:]...)
	p.cmd.Path, _ = exec.LookPath("setpriv")
	const want = "periscope: mirror lo: operation not permitted: run as root, or give it CAP_NET_RAW: in a container, leave Docker's default capability NET_RAW in place\n"
	if code := p.start().wait(); code != exitUsage || p.log.String() != want || p.stdout.Len() != 0 {
		t.Errorf("exit status %d, standard error\n%s", code, p.log.String())
	}
}
