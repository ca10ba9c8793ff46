package pipeline

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/tunnel"
)

// Whatever the number of sessions in a batch, each has all its frames in its
// tally, and is announced once.
func TestSessionTalliesAreComplete(t *testing.T) {
	const rounds, batches = 3, 4
	for _, sessions := range []int{1, 63, 64, 65, 130, 300} {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		var payloads [][]byte
		for i := range rounds * sessions {
			vni := uint32(i % sessions)
			payloads = append(payloads, append(tunnel.AppendVXLAN(nil, vni), vxlanPayloads(1, 0)[0][tunnel.VXLANLen:]...))
		}
		table := session.New(session.Config{Workers: 1, UnknownMax: sessions, Log: logger})
		p, err := New(Config{Workers: 1, Sessions: table, Log: logger})
		if err != nil {
			t.Fatal(err)
		}
		source := newMemorySource(batches, payloads)
		if err := p.Run(context.Background(), source); err != nil {
			t.Fatal(err)
		}
		all := table.Sessions()
		for _, s := range all {
			tally := &s.Tallies[0]
			if n, bytes := tally.Delivered.Load(), tally.Bytes.Load(); n != rounds*batches || bytes != n*uint64(len(payloads[0])-tunnel.VXLANLen) {
				t.Errorf("%d sessions: %s has %d frames, %d bytes", sessions, s.Name, n, bytes)
			}
		}
		if n := strings.Count(log.String(), "first frame of a sender"); n != sessions || len(all) != sessions {
			t.Errorf("%d of %d sessions, %d announced", len(all), sessions, n)
		}
	}
}

// A frame whose source is not known is announced as well.
func TestFramesWithoutSourceAreAnnounced(t *testing.T) {
	var log bytes.Buffer
	p, err := New(Config{
		Workers:  1,
		Sessions: session.New(session.Config{Workers: 1, UnknownMax: 1, Log: discard}),
		Log:      slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	f := packet.Frame{Data: make([]byte, 60), Length: 60, VNI: 7}
	f.Session, _ = p.sessions.Lookup(&packet.Frame{VNI: 7, Source: packet.Addr{}})
	p.Frame(0, &f)
	p.Frame(0, &f)
	if n := strings.Count(log.String(), "first frame of a sender"); n != 1 {
		t.Errorf("announced %d times:\n%s", n, log.String())
	}
}
