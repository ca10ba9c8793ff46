package service

import (
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// A manager is a service manager that is told things.
type manager struct {
	t    *testing.T
	fd   int
	news []string // told since anyone asked
}

// newManager sets the environment as a service manager does.
func newManager(t *testing.T, watchdog string) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", watchdog)
	t.Setenv("WATCHDOG_PID", "")
	return &manager{t: t, fd: fd}
}

// listen takes what came. Some ten messages wait in the kernel; the next one
// would make the teller wait.
func (m *manager) listen() {
	b := make([]byte, 4096)
	for {
		n, _, err := unix.Recvfrom(m.fd, b, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			m.t.Fatal(err)
		}
		m.news = append(m.news, string(b[:n]))
	}
}

// pass lets time go by, in a bubble of synctest.
func (m *manager) pass(d time.Duration) {
	const step = time.Second
	for ; d > 0; d -= step {
		time.Sleep(min(d, step))
		synctest.Wait()
		m.listen()
	}
}

// told returns what came since it was last asked.
func (m *manager) told() []string {
	m.listen()
	news := m.news
	m.news = nil
	return news
}

// fed returns how often the watchdog was fed since the manager was last asked.
func (m *manager) fed() (n int) {
	for _, s := range m.told() {
		if s != "WATCHDOG=1" {
			m.t.Errorf("told %q", s)
		}
		n++
	}
	return n
}

// TestWatchdog says that the watchdog is fed several times in its time, as long
// as every part moves and no longer, and again when all move again; and that
// being stuck is logged once.
func TestWatchdog(t *testing.T) {
	m := newManager(t, "30000000")
	synctest.Test(t, func(t *testing.T) {
		log := new(journal)
		s := &Service{log: slog.New(slog.NewTextHandler(log, nil)), finished: noWorkers}
		var n atomic.Uint64
		var moving atomic.Bool
		moving.Store(true)
		read := func() uint64 {
			if moving.Load() {
				n.Add(1)
			}
			return n.Load()
		}
		s.pulse.parts, s.pulse.seen = []part{{"the part", read}}, make([]beat, 1)
		done, ended := make(chan struct{}), make(chan struct{})
		go func() {
			s.lookAfter(done)
			close(ended)
		}()
		m.pass(30*time.Second + time.Millisecond)
		if fed := m.fed(); fed < 2 {
			t.Errorf("fed %d times in 30 s", fed)
		}
		moving.Store(false)
		m.pass(stuckAfter - time.Second)
		if m.fed() == 0 {
			t.Error("not fed before it counts as stuck")
		}
		m.pass(2 * time.Second)
		m.told()
		m.pass(time.Minute)
		if fed := m.fed(); fed != 0 {
			t.Errorf("fed %d times while stuck", fed)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "the part has not moved for 10s") {
			t.Errorf("logged %d times that it is stuck:\n%s", n, log.String())
		}
		moving.Store(true)
		m.pass(2 * time.Second)
		if m.fed() == 0 {
			t.Error("not fed when it moves again")
		}
		if n := strings.Count(log.String(), "progress again"); n != 1 {
			t.Errorf("logged %d times that it moves again", n)
		}
		close(done)
		<-ended
		m.told()
		m.pass(time.Minute)
		if fed := m.fed(); fed != 0 {
			t.Errorf("fed %d times after the end", fed)
		}
	})
}

func noWorkers() []uint64 { return nil }

// TestWatchdogThatIsHasty says that a short watchdog is fed in its time.
func TestWatchdogThatIsHasty(t *testing.T) {
	m := newManager(t, "200000")
	synctest.Test(t, func(t *testing.T) {
		s := &Service{log: slog.New(slog.DiscardHandler), finished: noWorkers}
		done, ended := make(chan struct{}), make(chan struct{})
		go func() {
			s.lookAfter(done)
			close(ended)
		}()
		for range 10 {
			m.pass(199 * time.Millisecond)
			if m.fed() == 0 {
				t.Error("not fed in 200 ms")
			}
		}
		close(done)
		<-ended
	})
}

// TestWatchdogThatIsOff says that there is no food without a watchdog, and a
// warning if what the service manager says makes no sense.
func TestWatchdogThatIsOff(t *testing.T) {
	for _, test := range []struct {
		usec  string
		warns bool
	}{{"", false}, {"soon", true}} {
		m := newManager(t, test.usec)
		synctest.Test(t, func(t *testing.T) {
			log := new(journal)
			s := &Service{log: slog.New(slog.NewTextHandler(log, nil)), finished: noWorkers}
			done, ended := make(chan struct{}), make(chan struct{})
			go func() {
				s.lookAfter(done)
				close(ended)
			}()
			m.pass(time.Minute)
			if fed := m.fed(); fed != 0 {
				t.Errorf("WATCHDOG_USEC=%q: fed %d times", test.usec, fed)
			}
			close(done)
			<-ended
			if warned := strings.Contains(log.String(), "level=WARN"); warned != test.warns {
				t.Errorf("WATCHDOG_USEC=%q: logged %q", test.usec, log.String())
			}
		})
	}
}
