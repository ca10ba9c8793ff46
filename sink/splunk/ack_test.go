package splunk

import (
	"context"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// TestStoredOnceAcknowledged says that events are pending until the server says
// that they are indexed.
func TestStoredOnceAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.SetAcks(hectest.Acks{On: true, After: 2})
		s := open(t, c)
		give(s, 0, 100)
		after(time.Second)
		if n := len(server.Events()); n != 100 {
			t.Fatalf("%d events came, want 100", n)
		}
		if l := s.Ledger(); l.Stored != 0 || l.Pending != 100 {
			t.Errorf("account %+v, want all pending", l)
		}
		if e := s.Stats().HEC.Endpoints[0]; e.AcksPending == 0 {
			t.Error("no acknowledgement is awaited")
		}
		after(time.Minute)
		if l := s.Ledger(); l.Stored != 100 || l.Pending != 0 {
			t.Errorf("account %+v, want all stored", l)
		}
		finish(t, s)
		wantOnce(t, numbers(t, server), 0, 100)
	})
}

// wantAgain fails unless every flow from and up to before to arrived twice or
// more, which numbers says is as one event.
func wantAgain(t testing.TB, server *hectest.Server, from, to int) {
	t.Helper()
	times := numbers(t, server)
	for n := from; n < to; n++ {
		if times[n] < 2 {
			t.Fatalf("flow %d came %d times, want it again", n, times[n])
		}
	}
}

// TestUnacknowledgedIsSentAgain says that what is not acknowledged in time is
// sent again as the same events, and stored once.
func TestUnacknowledgedIsSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.SetAcks(hectest.Acks{On: true, After: -1})
		s := open(t, c)
		give(s, 0, 100)
		after(4 * time.Minute)
		wantOnce(t, numbers(t, server), 0, 100)
		server.SetAcks(hectest.Acks{On: true, After: -1})
		after(2 * time.Minute)
		wantAgain(t, server, 0, 100)
		if l := s.Ledger(); l.Stored != 0 || l.Pending != 100 {
			t.Errorf("account %+v, want all pending", l)
		}
		server.SetAcks(hectest.Acks{On: true})
		after(10 * time.Minute)
		if l := finish(t, s); l.Stored != 100 || l.Offered != 100 {
			t.Errorf("account %+v, want 100 stored", l)
		}
		if e := s.Stats().HEC.Endpoints[0]; e.AckTimeouts == 0 {
			t.Error("no timeout is counted")
		}
	})
}

// TestLostChannelIsSentAgain says that what was taken and not acknowledged is
// sent again when the server has forgotten the channel.
func TestLostChannelIsSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.SetAcks(hectest.Acks{On: true, After: -1})
		s := open(t, c)
		give(s, 0, 100)
		after(time.Second)
		server.Forget()
		server.SetAcks(hectest.Acks{On: true})
		give(s, 100, 200)
		after(time.Minute)
		if l := finish(t, s); l.Stored != 200 || l.Offered != 200 {
			t.Errorf("account %+v, want 200 stored", l)
		}
		wantAgain(t, server, 0, 100)
	})
}

// TestSmallBatchesComeBack says that small batches that come back are not sent one
// in each time that a lane waits for more.
func TestSmallBatchesComeBack(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.SetAcks(hectest.Acks{On: true, After: -1})
		s := open(t, c)
		for n := range 200 {
			give(s, n, n+1)
			after(linger + 200*time.Millisecond)
		}
		if n := len(server.Seen()); n < 200 {
			t.Fatalf("%d requests, want one for each flow", n)
		}
		server.Forget()
		server.SetAcks(hectest.Acks{On: true})
		give(s, 200, 201)
		after(20 * time.Second)
		give(s, 201, 202)
		after(5 * time.Second)
		if l := s.Ledger(); l.Stored != 202 {
			t.Errorf("account %+v, want all stored", l)
		}
		finish(t, s)
	})
}

// TestCloseWithAcksOutstanding says that Close waits for acknowledgements as long
// as it may, and that the next process sends again what had none.
func TestCloseWithAcksOutstanding(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.SetAcks(hectest.Acks{On: true, After: -1})
		s := open(t, c)
		give(s, 0, 100)
		after(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if ctx.Err() == nil {
			t.Error("Close gave up before its time")
		}
		if l := s.Ledger(); l.Pending != 100 || l.Imbalance() != 0 {
			t.Errorf("account %+v, want 100 pending", l)
		}
		server.SetAcks(hectest.Acks{On: true})
		s = open(t, c)
		after(time.Minute)
		if l := finish(t, s); l.Stored != 100 {
			t.Errorf("account %+v, want 100 stored", l)
		}
		wantAgain(t, server, 0, 100)
	})
}

// TestRefusedAmongAcknowledged says that a batch with a bad event is settled by
// the acknowledgements of its parts, and the event put aside once.
func TestRefusedAmongAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.SetAcks(hectest.Acks{On: true, After: 1})
		server.Script(badData, badData, hectest.Answer{}, badData, hectest.Answer{}) // 4, 2, 2, 1, 1 events
		s := open(t, c)
		give(s, 0, 4)
		after(time.Second)
		if l := s.Ledger(); l.Pending != 4 || quarantined(t, c.Dir) != nil {
			t.Errorf("account %+v, want all pending and nothing put aside", l)
		}
		after(time.Minute)
		if l := finish(t, s); l.Stored != 3 || len(quarantined(t, c.Dir)) != 1 {
			t.Errorf("account %+v, want 3 stored and 1 put aside", l)
		}
	})
}
