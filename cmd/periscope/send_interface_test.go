package main

import (
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/ecsmeta"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session/announce"
	"github.com/periscope-collector/periscope/tap"
)

// ownInterface makes an interface that takes what is sent to an address, and goes
// with the test.
func ownInterface(t *testing.T, prefix, to string) (name, mac string) {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "needs root to make an interface: run the test as root")
	}
	name, mac = fmt.Sprintf("tap%d", os.Getpid()), "02:00:00:00:77:02"
	for _, args := range []string{
		"link add " + name + " address " + mac + " type veth peer name " + name + "p",
		"address add " + prefix + " dev " + name,
		"link set " + name + "p up",
		"link set " + name + " up",
		"neighbour add " + to + " lladdr 02:00:00:00:77:03 dev " + name + " nud permanent",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
		t.Cleanup(func() { exec.Command("ip", "link", "delete", name).Run() })
	}
	return name, mac
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
	name, mac := ownInterface(t, "198.18.77.1/30", "198.18.77.2")
	c := receiver(t)
	dir := t.TempDir()
	filters := writeFile(t, filepath.Join(dir, "filters.yaml"), []byte(filterOfSend))
	const arn = "arn:aws:ecs:eu-central-1:111122223333:task/prod/0123456789abcdef0123456789abcdef"
	task := awsfake.Task{ARN: arn}
	metadata := httptest.NewServer(awsfake.TaskMetadata(task, mac, netip.MustParsePrefix("198.18.77.0/30")))
	defer metadata.Close()

	p := newProcess(t, "send", "--to", c.LocalAddr().String(), "--interface", name,
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
	eventually(t, "an announcement and three frames have arrived", func() bool {
		frames = append(frames, arrived(t, c, tap.VNI(arn))...)
		return len(frames) >= 4
	})
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK {
		t.Errorf("exit status %d", code)
	}
	frames = append(frames, arrived(t, c, tap.VNI(arn))...)
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
	p := newProcess(t, "send", "--to", "127.0.0.1:4789", "--interface", "lo")
	p.cmd.Args = append([]string{"setpriv", "--bounding-set=-net_raw", p.cmd.Path}, p.cmd.Args[1:]...)
	p.cmd.Path, _ = exec.LookPath("setpriv")
	const want = "periscope: mirror lo: operation not permitted: run as root, or give it CAP_NET_RAW: in a container, leave Docker's default capability NET_RAW in place\n"
	if code := p.start().wait(); code != exitUsage || p.log.String() != want || p.stdout.Len() != 0 {
		t.Errorf("exit status %d, standard error\n%s", code, p.log.String())
	}
}
