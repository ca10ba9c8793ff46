package lab_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// churnSettings keep everything that says whose a packet is.
const churnSettings = `aws: {journal: sessions.journal}
sinks:
  pcap: {dir: captures}
  flowlog: {dir: flows, format: json, interval: 10s}
  splunk:
    endpoints: [%s]
    token_file: token
    spool: {dir: spool}
    frames: {mode: all}
`

// TestTasksComeAndGo has tasks come and go within seconds, each with an address
// that another had, while they talk: some mirrored with a VNI of their own, some
// with one that all share. Every frame in a capture file, every flow record and
// every event is of the task that sent or received it; also across a restart of
// the collector during which AWS is away; and so it is when what the collector
// got is replayed later, with the journal.
func TestTasksComeAndGo(t *testing.T) {
	lab.Need(t, "go", "curl", "tcpdump")
	program := build(t)
	c := newChurn(t, program)
	c.start()
	var old []*running
	for round := range 4 {
		var now []*running
		for i := range 3 {
			now = append(now, c.begin(netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i)}), round*3+i))
		}
		for range 3 {
			for _, r := range now {
				c.talk(r)
			}
			time.Sleep(time.Second) // so that they live longer than AWS takes to tell
		}
		lab.Eventually(t, "the collector knows the tasks", func() bool {
			return !slices.ContainsFunc(now, func(r *running) bool { return !c.written(r) })
		})
		if round == 1 { // these go on through a restart
			c.aws.Down()
			c.stop()
			c.start()
			for _, r := range now {
				c.talk(r)
			}
			c.aws.Up()
		}
		for _, r := range now {
			c.end(r)
		}
		old = append(old, now...)
	}
	c.stop()
	c.tcpdump()
	c.check(old, filepath.Join(c.dir, "captures"), filepath.Join(c.dir, "flows"))
	c.checkEvents(old)

	replay := filepath.Join(c.dir, "replay")
	run := c.lab.Collector.Run(program, "replay", "--sessions", filepath.Join(c.dir, "sessions.journal"),
		"--out", filepath.Join(replay, "captures"), "--summary", "-", filepath.Join(c.dir, "mirror.pcap"))
	if !strings.Contains(run, `"balanced": true`) {
		t.Errorf("the replay said %s", run)
	}
	c.check(old, filepath.Join(replay, "captures"), "")
}

// A churn is a stage with a place for events, on which all is seen by tcpdump.
type churn struct {
	*stage
	events   *hectest.Server
	sessions map[*running]string // ids
	tcpdump  func()
}

func newChurn(t *testing.T, program string) *churn {
	c := &churn{stage: newStage(t, program), events: hectest.New(t, "token-of-the-lab"), sessions: make(map[*running]string)}
	c.pass(c.events.URL)
	write(t, filepath.Join(c.dir, "token"), "token-of-the-lab\n")
	write(t, filepath.Join(c.dir, "periscope.yaml"), fmt.Sprintf(churnSettings, c.events.URL))
	c.tcpdump = c.lab.Collector.Tcpdump("any", filepath.Join(c.dir, "mirror.pcap"), "udp port 4789")
	return c
}

// begin starts a task, at AWS and in the lab, and has it mirrored.
func (c *churn) begin(address netip.Addr, n int) *running {
	r := c.run(awsfake.Run{Service: []string{"web", "db", "cache"}[n%3], Address: address}, 20000+n)
	vni := uint32(1000 + n)
	if n%2 == 0 {
		vni = 500
	}
	session := fmt.Sprintf("tms-%017x", n+1)
	c.sessions[r] = session
	c.home(func(region *awsfake.Region) {
		region.Sessions[session] = &awsfake.MirrorSession{
			ID: session, TargetID: target, FilterID: filter, InterfaceID: r.card, OwnerID: awsfake.HomeAccount, Number: 1, VNI: vni,
		}
	})
	if err := r.Mirror(vni); err != nil {
		c.t.Fatal(err)
	}
	return r
}

// written reports whether there are files of the task.
func (c *churn) written(r *running) bool {
	dirs, err := filepath.Glob(filepath.Join(c.dir, "captures", "*-"+r.id[:8]))
	if err != nil {
		c.t.Fatal(err)
	}
	return len(dirs) > 0
}

// end ends the task and its mirror session. Its address is free.
func (c *churn) end(r *running) {
	if err := r.Unmirror(); err != nil {
		c.t.Fatal(err)
	}
	c.home(func(region *awsfake.Region) { delete(region.Sessions, c.sessions[r]) })
	if _, err := c.aws.StopTask(r.arn); err != nil {
		c.t.Fatal(err)
	}
	r.frames = r.Stop()
}

// talk has the task say something, and be answered.
func (c *churn) talk(r *running) {
	c.t.Helper()
	if err := r.say(10); err != nil {
		c.t.Fatal(err)
	}
}
