package delivery

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/interop/faultproxy"
	"github.com/periscope-collector/periscope/interop/receiver"
)

// TestFaults: each fault, three times among requests that pass, with and without
// acknowledgements.
func TestFaults(t *testing.T) {
	for f := range faultproxy.NumFaults {
		for _, acks := range []bool{false, true} {
			t.Run(f.String()+map[bool]string{true: " acks"}[acks], func(t *testing.T) {
				server := receiver.New(t, acks, token)
				synctest.Test(t, func(t *testing.T) {
					w := start(t, server, false)
					w.proxy.Script(faultproxy.Pass, f, f, faultproxy.Pass, f)
					for range 6 { // requests
						w.give(250)
						time.Sleep(time.Second)
					}
					w.finish(t)
					if n := w.proxy.Suffered()[f]; n < 3 {
						t.Errorf("%d requests suffered", n)
					}
				})
			})
		}
	}
}

// TestAllAtOnce: every fault in any order, half of the requests.
func TestAllAtOnce(t *testing.T) {
	server := receiver.New(t, true, token)
	random := rand.New(rand.NewPCG(4, 4))
	synctest.Test(t, func(t *testing.T) {
		w := start(t, server, false)
		for range 60 {
			w.proxy.Script(faultproxy.Fault(random.IntN(int(faultproxy.NumFaults))), faultproxy.Pass)
		}
		for range 40 {
			w.give(250)
			time.Sleep(time.Second)
		}
		w.finish(t)
		for f, n := range w.proxy.Suffered() {
			t.Logf("%v: %d requests", f, n)
		}
		if n := len(w.proxy.Suffered()); n != int(faultproxy.NumFaults) {
			t.Errorf("%d kinds of faults", n)
		}
	})
}

// TestNotFound: a balancer without a server for five minutes.
func TestNotFound(t *testing.T) {
	server := receiver.New(t, false, token)
	synctest.Test(t, func(t *testing.T) {
		w := start(t, server, false)
		w.proxy.Always(faultproxy.NotFound)
		for range 300 {
			w.give(10)
			time.Sleep(time.Second)
		}
		if n := len(server.Events()); n != 0 {
			t.Errorf("%d events arrived", n)
		}
		w.proxy.Always(faultproxy.Pass)
		w.finish(t)
	})
}

// TestUntrusted: with a certificate that nobody trusts nothing is sent, and
// everything once it is the right one.
func TestUntrusted(t *testing.T) {
	server := receiver.New(t, false, token)
	synctest.Test(t, func(t *testing.T) {
		w := start(t, server, true)
		w.proxy.FailTLS(3)
		w.give(3000)
		w.finish(t)
		if n := w.proxy.StrangersLeft(); n != 0 {
			t.Errorf("%d handshakes are left", n)
		}
	})
}

// TestNameMoves: within a minute of a change of the name's address requests go
// there, though the old server answers on; and at once when it is gone.
func TestNameMoves(t *testing.T) {
	server := receiver.New(t, false, token)
	synctest.Test(t, func(t *testing.T) {
		var names table
		var proxies [3]*faultproxy.Proxy
		var pipes [3]*faultproxy.Pipe
		for i := range proxies {
			proxies[i], pipes[i] = faultproxy.New(server.Addr), faultproxy.NewPipe()
			proxies[i].Serve(pipes[i])
		}
		names.to.Store(pipes[0])
		w := &wire{proxy: proxies[2], server: server}
		w.open(t, config(t, "http://"+name+":8088", names.Dial))
		each := func(seconds int) {
			for range seconds {
				w.give(5)
				time.Sleep(time.Second)
			}
		}
		requests := func(i int) int { return proxies[i].Suffered()[faultproxy.Pass] }

		each(10)
		names.to.Store(pipes[1])
		each(70)
		if before, after := requests(0), requests(1); before == 0 || after == 0 {
			t.Errorf("%d requests to the old address, %d to the new one", before, after)
		}
		old := requests(0)
		each(10)
		if requests(0) != old {
			t.Error("requests to the old address later than a minute")
		}
		names.to.Store(pipes[2])
		proxies[1].Close()
		each(10)
		w.finish(t)
		if requests(2) == 0 {
			t.Error("no requests to the last address")
		}
		proxies[0].Close()
	})
}

// TestRestart: what is in the spool when the sink ends is sent by the next one,
// with the event_uid it had.
func TestRestart(t *testing.T) {
	server := receiver.New(t, false, token)
	synctest.Test(t, func(t *testing.T) {
		pipe := faultproxy.NewPipe()
		w := &wire{proxy: faultproxy.New(server.Addr), server: server}
		w.proxy.Serve(pipe)
		c := config(t, "http://"+name+":8088", pipe.Dial)
		w.open(t, c)
		w.proxy.Script(faultproxy.Drop, faultproxy.Drop)
		w.proxy.Always(faultproxy.NotFound)
		w.give(3000)
		time.Sleep(time.Minute)
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if l := w.Ledger(); l.Imbalance() != 0 || l.Pending != 3000 {
			t.Errorf("account %+v, want 3000 pending", l)
		}
		w.proxy.Always(faultproxy.Pass)
		w.open(t, c)
		w.finish(t)
	})
}
