package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/interop/receiver"
)

// role, in the environment, has the test binary be one of the lab's programs.
const role = "PERISCOPE_INTEROP_ROLE"

// roles are what the test binary can be, with the arguments it has then.
var roles = map[string]func(args []string) error{"http": serveHTTP, "scan": scan}

func TestMain(m *testing.M) {
	name := os.Getenv(role)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := roles[name](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveHTTP answers GET /N with N bytes, and anything else with what it got.
func serveHTTP([]string) error {
	return http.ListenAndServe(":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			got, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, got)
			return
		}
		w.Write(bytes.Repeat([]byte("x"), n))
	}))
}

// scan connects to ports 1000 and up, as many as the second argument says, of the
// first, where nothing listens.
func scan(args []string) error {
	ports, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for port := 1000; port < 1000+ports; port++ {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(args[0], strconv.Itoa(port)), 10*time.Second)
		if err == nil {
			return fmt.Errorf("%s listens", c.RemoteAddr())
		}
	}
	return nil
}

// as runs the test binary in a role, in a namespace, to its end.
func as(t *testing.T, n *lab.Namespace, name string, args ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n.Run("env", append([]string{role + "=" + name, self}, args...)...)
}

// offer starts an HTTP server in a namespace.
func offer(t *testing.T, n *lab.Namespace) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n.Start("", "env", role+"=http", self)
	lab.Eventually(t, "the HTTP server listens", func() bool {
		return n.Command("curl", "-sf", "http://127.0.0.1/1").Run() == nil
	})
}

// programs builds the collector and the receiver.
func programs(t *testing.T) (periscope, hecreceiver string) {
	t.Helper()
	dir := t.TempDir()
	for module, pkg := range map[string]string{"../..": "./cmd/periscope", "..": "./hecreceiver"} {
		build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), pkg)
		build.Dir = module
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", pkg, err, out)
		}
	}
	return filepath.Join(dir, "periscope"), filepath.Join(dir, "hecreceiver")
}

const token = "00000000-0000-4000-8000-000000000001"

// settings take the mode of frames.
const settings = `sessions: {file: sessions.yaml}
sinks:
  splunk:
    endpoints: ["http://127.0.0.1:8088"]
    token_file: hec.token
    index: net
    indexes: {ledger: ops}
    collector: lab
    records: [flow, vpcflow, ledger]
    frames: {mode: %s, payload: 32B}
    spool: {dir: spool, size: 64MiB, free: 0%%}
`

// sessions explains both mirrors; the first is of a task.
const sessions = `sessions:
  - name: web
    vni: 101
    source: 10.9.0.2
    mac: "02:00:00:00:01:02"
    interface_id: eni-101
    account_id: "111122223333"
    region: eu-central-1
    vpc_id: vpc-1
    ecs:
      cluster: prod
      service: web
      task_arn: arn:aws:ecs:eu-central-1:111122223333:task/prod/0123456789abcdef0123456789abcdef
  - {name: db, vni: 202, source: "fd00:9::2", mac: "02:00:00:00:02:02", interface_id: eni-202}
`

// A collector is the program and the receiver it sends to.
type collector struct {
	t         *testing.T
	lab       *lab.Lab
	dir       string
	receiver  *lab.Program
	periscope *lab.Program
	before    int // frames mirrored before it was started
}

// collect starts a receiver and a collector in the collector's namespace. frames is
// how many of them become events.
func collect(t *testing.T, l *lab.Lab, periscope, hecreceiver, frames string) *collector {
	t.Helper()
	c := &collector{t: t, lab: l, dir: t.TempDir()}
	for name, text := range map[string]string{"periscope.yaml": fmt.Sprintf(settings, frames), "sessions.yaml": sessions, "hec.token": token + "\n"} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.receiver = l.Collector.Start("listening on", "sh", "-c", fmt.Sprintf("exec %s -acks -tokens %s/hec.token >%[2]s/events.jsonl", hecreceiver, c.dir))
	c.before = c.mirrored()
	c.periscope = l.Collector.Start("", "sh", "-c",
		fmt.Sprintf("echo $$ >%s/pid; exec %s run --config %[1]s/periscope.yaml --summary %[1]s/summary.json", c.dir, periscope))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the collector said:\n%s\nthe receiver said:\n%s", c.periscope.Output(), c.receiver.Output())
		}
	})
	lab.Eventually(t, "the collector is ready", func() bool {
		return l.Collector.Command("curl", "-sf", "http://127.0.0.1:9477/readyz").Run() == nil
	})
	return c
}

// stopped does something while the collector does not run.
func (c *collector) stopped(do func()) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := syscall.Kill(pid, signal); err != nil {
			c.t.Fatal(err)
		}
		if signal == syscall.SIGSTOP {
			do()
		}
	}
}

// mirrored returns how many frames were mirrored so far.
func (c *collector) mirrored() (frames int) {
	for _, m := range c.lab.Mirrors {
		frames += c.lab.Mirrored(m)
	}
	return frames
}

// A summary is what the collector writes at its end.
type summary struct {
	Received, Delivered struct{ Packets int }
	LostBeforeUs        map[string]int `json:"lost_before_us"`
	Sinks               map[string]struct {
		Offered, Stored, Pending int
		Dropped                  map[string]int
	}
	Balanced bool
}

// lost returns the frames that the kernel dropped.
func (s *summary) lost() (frames int) {
	for _, n := range s.LostBeforeUs {
		frames += n
	}
	return frames
}

// settle waits until the collector has every frame that was mirrored.
func (c *collector) settle() {
	c.t.Helper()
	lab.Eventually(c.t, "the collector has every frame", func() bool {
		var now summary
		text := c.lab.Collector.Run("curl", "-sf", "http://127.0.0.1:9477/api/v1/ledger")
		if err := json.Unmarshal([]byte(text), &now); err != nil {
			c.t.Fatal(err)
		}
		return now.Received.Packets == c.mirrored()-c.before
	})
}

// finish ends the collector, which reads its sockets empty first, and the receiver,
// and returns the account and the events that arrived, as lines too.
func (c *collector) finish() (s summary, events []receiver.Event, lines [][]byte) {
	c.t.Helper()
	if err := c.periscope.Stop(syscall.SIGTERM); err != nil {
		c.t.Fatalf("the collector ended with %v, want 0", err)
	}
	if err := c.receiver.Stop(syscall.SIGTERM); err != nil {
		c.t.Fatalf("the receiver ended with %v, want 0", err)
	}
	c.keepsSecret()
	text, err := os.ReadFile(filepath.Join(c.dir, "summary.json"))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		c.t.Fatal(err)
	}
	if text, err = os.ReadFile(filepath.Join(c.dir, "events.jsonl")); err != nil {
		c.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e receiver.Event
		if err := json.Unmarshal(line, &e); err != nil {
			c.t.Fatal(err)
		}
		events, lines = append(events, e), append(lines, line)
	}
	return s, events, lines
}

// keepsSecret fails the test if the token is in what the collector printed or wrote.
func (c *collector) keepsSecret() {
	c.t.Helper()
	if strings.Contains(c.periscope.Output(), token) {
		c.t.Error("the collector printed the token")
	}
	err := filepath.WalkDir(c.dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "hec.token" {
			return err
		}
		text, err := os.ReadFile(name)
		if bytes.Contains(text, []byte(token)) {
			c.t.Errorf("the token is in %s", name)
		}
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}
