package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/lab"
)

// A stage is what tasks come and go on: the lab, with a peer that answers, what
// AWS says, and a collector.
type stage struct {
	t       *testing.T
	lab     *lab.Tasks
	aws     *awsfake.Server
	program string
	dir     string
	process *lab.Program
}

// A running task, and what has become of it.
type running struct {
	*lab.Task
	arn, id string
	card    string    // its interface's id
	known   time.Time // when AWS knew that
	port    uint16    // its own, of all it says
	frames  int       // that were mirrored
}

// What AWS knows of mirroring: a target, and a filter that takes all.
const (
	target = "tmt-00000000000000001"
	filter = "tmf-00000000000000001"
)

// newStage has AWS know a target, a filter and no session. The collector's
// configuration is to be written to periscope.yaml in dir.
func newStage(t *testing.T, program string) *stage {
	s := &stage{t: t, lab: lab.NewTasks(t), aws: awsfake.Start(t), program: program, dir: t.TempDir()}
	s.pass(s.aws.URL)
	s.home(func(r *awsfake.Region) {
		r.Targets = map[string]*awsfake.MirrorTarget{target: {ID: target, Type: "network-load-balancer", LoadBalancerARN: "arn:nlb", OwnerID: awsfake.HomeAccount}}
		r.Filters = map[string]*awsfake.MirrorFilter{filter: {ID: filter, Ingress: takeAll("ingress"), Egress: takeAll("egress")}}
		r.Sessions = make(map[string]*awsfake.MirrorSession)
	})
	s.echo()
	return s
}

func takeAll(direction string) awsfake.Set[awsfake.FilterRule] {
	return awsfake.Set[awsfake.FilterRule]{{
		ID: "tmfr-" + direction, FilterID: filter, Direction: direction, Number: 1, Action: "accept", SourceCIDR: "0.0.0.0/0", DestinationCIDR: "0.0.0.0/0",
	}}
}

// run runs a task at AWS, and then in the lab. It speaks from a port of its own.
func (s *stage) run(task awsfake.Run, port int) *running {
	s.t.Helper()
	task.Account, task.Region = awsfake.HomeAccount, awsfake.HomeRegion
	made, err := s.aws.RunTask(task)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &running{arn: made.ARN, id: made.ARN[strings.LastIndex(made.ARN, "/")+1:], card: made.Interface(), known: time.Now(), port: uint16(port)}
	var mac net.HardwareAddr
	s.home(func(region *awsfake.Region) { mac, err = net.ParseMAC(region.Interfaces[r.card].MAC) })
	if err != nil {
		s.t.Fatal(err)
	}
	r.Task = s.lab.Run(task.Address, mac)
	return r
}

// home calls f with what AWS knows, while nobody else looks.
func (s *stage) home(f func(*awsfake.Region)) {
	s.aws.Change(func(state *awsfake.State) { f(state.Region(awsfake.HomeAccount, awsfake.HomeRegion)) })
}

// pass makes a server of the test's own reachable in the collector's namespace,
// at the same address.
func (s *stage) pass(served string) {
	u, err := url.Parse(served)
	if err != nil {
		s.t.Fatal(err)
	}
	var listener net.Listener
	if e := s.lab.Collector.Do(func() { listener, err = net.Listen("tcp", u.Host) }); e != nil || err != nil {
		s.t.Fatal(e, err)
	}
	s.t.Cleanup(func() { listener.Close() })
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
func (s *stage) echo() {
	var packets net.PacketConn
	var streams net.Listener
	var errs [2]error
	if err := s.lab.Peer.Do(func() {
		packets, errs[0] = net.ListenPacket("udp4", lab.PeerAddr.String()+":7")
		streams, errs[1] = net.Listen("tcp4", lab.PeerAddr.String()+":7")
	}); err != nil || errs[0] != nil || errs[1] != nil {
		s.t.Fatal(err, errs)
	}
	s.t.Cleanup(func() { packets.Close(); streams.Close() })
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
func (s *stage) start() {
	process := s.lab.Collector.Start("collecting", s.program, "run", "--backend", "udp",
		"--config", filepath.Join(s.dir, "periscope.yaml"), "--summary", filepath.Join(s.dir, "summary.json"))
	s.process = process
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the collector said:\n%s", process.Output())
		}
	})
	lab.Eventually(s.t, "the collector is ready", func() bool {
		return s.lab.Collector.Command("curl", "-sf", "http://127.0.0.1:9477/readyz").Run() == nil
	})
}

func (s *stage) stop() {
	if err := s.process.Stop(syscall.SIGTERM); err != nil {
		s.t.Fatalf("the collector ended with %v, want 0\n%s", err, s.process.Output())
	}
}

// say has the task say something by UDP and by TCP, so often, and be answered.
func (r *running) say(times int) error {
	said := []byte("task " + r.id + " says so\n")
	for _, network := range []string{"udp4", "tcp4"} {
		conn, err := r.dial(network)
		if err != nil {
			return fmt.Errorf("task %s: %w", r.id, err)
		}
		err = converse(conn, said, times)
		if stream, ok := conn.(*net.TCPConn); ok {
			stream.SetLinger(0) // the port is needed again
		}
		conn.Close()
		if err != nil {
			return fmt.Errorf("task %s: %w", r.id, err)
		}
	}
	return nil
}

// dial connects to the peer from the task's own port. The connection before may
// not have gone yet: a program that is being started has a copy for a moment.
func (r *running) dial(network string) (conn net.Conn, err error) {
	d := net.Dialer{Control: reuse}
	if network == "udp4" {
		d.LocalAddr = &net.UDPAddr{IP: r.Address.AsSlice(), Port: int(r.port)}
	} else {
		d.LocalAddr = &net.TCPAddr{IP: r.Address.AsSlice(), Port: int(r.port)}
	}
	for range 3000 {
		if e := r.Do(func() { conn, err = d.DialContext(context.Background(), network, lab.PeerAddr.String()+":7") }); e != nil {
			return nil, e
		}
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return conn, err
}

// converse says the same so often, and hears it each time.
func converse(conn net.Conn, said []byte, times int) error {
	heard := make([]byte, len(said))
	for range times {
		conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Write(said); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, heard); err != nil {
			return err
		}
	}
	return nil
}

// reuse lets a port be bound that was in use a moment ago.
func reuse(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
}
