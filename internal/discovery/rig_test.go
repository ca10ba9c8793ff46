package discovery

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A rig is a discovery that asks desks.
type rig struct {
	*Discovery
	table *session.Table
	log   *logged
}

// logged keeps what is logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// lines returns the lines that contain a text, since the last time.
func (l *logged) lines(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func newRig(t *testing.T, j *journal.Journal, desks ...*desk) *rig {
	t.Helper()
	r := &rig{log: &logged{}}
	log := r.log.logger()
	var d *Discovery
	r.table = session.New(session.Config{
		Workers: 1, UnknownMax: 1000, BySource: 1000, Log: log,
		Stranger: func(s *packet.Session) { d.Stranger(s) },
	})
	c := config.DefaultAWS()
	d = New(Config{AWS: &c, Table: r.table, Journal: j, Log: log})
	d.metadata = func(context.Context) (awsapi.Self, error) { return awsapi.Self{}, errors.New("none") }
	d.scopes = nil
	for _, desk := range desks {
		d.scopes = append(d.scopes, newScope(d, desk))
	}
	r.Discovery = d
	return r
}

// start runs the discovery until the end of the test.
func (r *rig) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
}

// find returns the session of a frame of now that the interface eni-<face> sends.
func (r *rig) find(vni uint32, address, face string) *packet.Session {
	return r.lookup(vni, netip.MustParseAddr(address), [6]byte{2, face[0]}, time.Now())
}

// lookup returns the session of a frame.
func (r *rig) lookup(vni uint32, source netip.Addr, mac [6]byte, at time.Time) *packet.Session {
	data := make([]byte, packet.EthernetLen+20)
	copy(data[6:], mac[:])
	data[12] = 0x08
	copy(data[packet.EthernetLen+12:], source.AsSlice())
	s, reason := r.table.Lookup(&packet.Frame{VNI: vni, Source: packet.AddrFrom(source), Time: at.UnixNano(), Data: data})
	if s == nil {
		panic(reason)
	}
	return s
}

func (r *rig) name(vni uint32, address, face string) string { return r.find(vni, address, face).Name }

// now is the second of tests that the clock shows.
func now() int { return int(time.Since(epoch) / time.Second) }

func openJournal(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path, journal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}
