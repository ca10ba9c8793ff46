package lab_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
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
			now = append(now, c.run(netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i)}), round*3+i))
		}
		for range 3 {
			for _, r := range now {
				c.talk(r)
			}
			time.Sleep(time.Second) // so that they live longer than AWS takes to tell
		}
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

// A churn is a collector, what AWS says, and the tasks it says it of.
type churn struct {
	t       *testing.T
	lab     *lab.Tasks
	aws     *awsfake.Server
	events  *hectest.Server
	program string
	dir     string
	process *lab.Program
	tcpdump func()
}

// A running task, and what has become of it.
type running struct {
	*lab.Task
	arn, id, session string
	port             uint16 // its own, of all it says
	frames           int    // that were mirrored
}

func newChurn(t *testing.T, program string) *churn {
	c := &churn{t: t, lab: lab.NewTasks(t), aws: awsfake.Start(t), events: hectest.New(t, "token-of-the-lab"), program: program, dir: t.TempDir()}
	for _, served := range []string{c.aws.URL, c.events.URL} {
		c.pass(served)
	}
	write(t, filepath.Join(c.dir, "token"), "token-of-the-lab\n")
	write(t, filepath.Join(c.dir, "periscope.yaml"), fmt.Sprintf(churnSettings, c.events.URL))
	c.aws.Change(func(s *awsfake.State) {
		r := s.Region(awsfake.HomeAccount, awsfake.HomeRegion)
		r.Targets = map[string]*awsfake.MirrorTarget{"tmt-1": {ID: "tmt-1", Type: "network-load-balancer", LoadBalancerARN: "arn:nlb", OwnerID: awsfake.HomeAccount}}
		r.Sessions = make(map[string]*awsfake.MirrorSession)
	})
	c.echo()
	c.tcpdump = c.lab.Collector.Tcpdump("any", filepath.Join(c.dir, "mirror.pcap"), "udp port 4789")
	return c
}

// pass makes a server of the test's own reachable in the collector's namespace,
// at the same address.
func (c *churn) pass(served string) {
	u, err := url.Parse(served)
	if err != nil {
		c.t.Fatal(err)
	}
	var listener net.Listener
	if e := c.lab.Collector.Do(func() { listener, err = net.Listen("tcp", u.Host) }); e != nil || err != nil {
		c.t.Fatal(e, err)
	}
	c.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			inside, err := listener.Accept()
			if err != nil {
				return
			}
			outside, err := net.Dial("tcp", u.Host)
			if err != nil {
				inside.Close()
				continue
			}
			join := func(to, from net.Conn) {
				io.Copy(to, from)
				to.Close()
				from.Close()
			}
			go join(inside, outside)
			go join(outside, inside)
		}
	}()
}

// echo has the peer answer with what it is told.
func (c *churn) echo() {
	var packets net.PacketConn
	var streams net.Listener
	var errs [2]error
	if err := c.lab.Peer.Do(func() {
		packets, errs[0] = net.ListenPacket("udp4", lab.PeerAddr.String()+":7")
		streams, errs[1] = net.Listen("tcp4", lab.PeerAddr.String()+":7")
	}); err != nil || errs[0] != nil || errs[1] != nil {
		c.t.Fatal(err, errs)
	}
	c.t.Cleanup(func() { packets.Close(); streams.Close() })
	go func() {
		b := make([]byte, 9000)
		for {
			n, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			packets.WriteTo(b[:n], from)
		}
	}()
	go func() {
		for {
			conn, err := streams.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
}

// start starts the collector, and returns when it collects.
func (c *churn) start() {
	process := c.lab.Collector.Start("collecting", c.program, "run", "--backend", "udp", "--config", filepath.Join(c.dir, "periscope.yaml"))
	c.process = process
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("the collector said:\n%s", process.Output())
		}
	})
	lab.Eventually(c.t, "the collector is ready", func() bool {
		return c.lab.Collector.Command("curl", "-sf", "http://127.0.0.1:9477/readyz").Run() == nil
	})
}

func (c *churn) stop() {
	if err := c.process.Stop(syscall.SIGTERM); err != nil {
		c.t.Fatalf("the collector ended with %v, want 0\n%s", err, c.process.Output())
	}
}

// run starts a task, at AWS and in the lab, and has it mirrored.
func (c *churn) run(address netip.Addr, n int) *running {
	made, err := c.aws.RunTask(awsfake.Run{
		Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Service: []string{"web", "db", "cache"}[n%3], Address: address,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	r := &running{arn: made.ARN, id: made.ARN[strings.LastIndex(made.ARN, "/")+1:], session: fmt.Sprintf("tms-%017x", n+1), port: uint16(20000 + n)}
	vni := uint32(1000 + n)
	if n%2 == 0 {
		vni = 500
	}
	var mac net.HardwareAddr
	c.aws.Change(func(s *awsfake.State) {
		region := s.Region(awsfake.HomeAccount, awsfake.HomeRegion)
		mac, err = net.ParseMAC(region.Interfaces[made.Interface()].MAC)
		region.Sessions[r.session] = &awsfake.MirrorSession{
			ID: r.session, TargetID: "tmt-1", FilterID: "tmf-1", InterfaceID: made.Interface(), OwnerID: awsfake.HomeAccount, Number: 1, VNI: vni,
		}
	})
	if err != nil {
		c.t.Fatal(err)
	}
	r.Task = c.lab.Run(address, mac)
	if err := r.Mirror(vni); err != nil {
		c.t.Fatal(err)
	}
	return r
}

// talk has the task say something by UDP and by TCP, and be answered.
func (c *churn) talk(r *running) {
	said := []byte("task " + r.id + " says so\n")
	var d net.Dialer
	for _, network := range []string{"udp4", "tcp4"} {
		var conn net.Conn
		var err error
		if network == "udp4" {
			d.LocalAddr = &net.UDPAddr{IP: r.Address.AsSlice(), Port: int(r.port)}
		} else {
			d.LocalAddr = &net.TCPAddr{IP: r.Address.AsSlice(), Port: int(r.port)}
		}
		d.Control = reuse
		if e := r.Do(func() { conn, err = d.DialContext(context.Background(), network, lab.PeerAddr.String()+":7") }); e != nil || err != nil {
			c.t.Fatal(e, err)
		}
		for range 10 {
			heard := make([]byte, len(said))
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Write(said); err != nil {
				c.t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, heard); err != nil {
				c.t.Fatal(err)
			}
		}
		if stream, ok := conn.(*net.TCPConn); ok {
			stream.SetLinger(0) // the port is needed again
		}
		conn.Close()
	}
}

// reuse lets a port be bound that was in use a moment ago.
func reuse(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
}

// end ends the task and its mirror session. Its address is free.
func (c *churn) end(r *running) {
	if err := r.Unmirror(); err != nil {
		c.t.Fatal(err)
	}
	c.aws.Change(func(s *awsfake.State) { delete(s.Region(awsfake.HomeAccount, awsfake.HomeRegion).Sessions, r.session) })
	if _, err := c.aws.StopTask(r.arn); err != nil {
		c.t.Fatal(err)
	}
	r.frames = r.Stop()
}
