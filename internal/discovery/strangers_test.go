package discovery

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

func TestStrangerIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		r := newRig(t, nil, d)
		r.start(t)
		time.Sleep(5 * time.Second)
		looks := func() uint64 { return d.Calls()["Sessions"] }
		if n := looks(); n != 1 {
			t.Fatalf("%d looks at the start", n)
		}
		for n := range 200 { // many at once
			r.Stranger(&packet.Session{VNI: uint32(n), Source: packet.AddrFrom4([4]byte{10, 0, 0, 1})})
		}
		synctest.Wait()
		time.Sleep(between + time.Second)
		if n := looks(); n != 2 && n != 3 {
			t.Errorf("%d looks for 200 strangers, want one or two more than 1", n)
		}
		before := looks()
		time.Sleep(5 * time.Second)
		r.Stranger(&packet.Session{VNI: 1, Source: packet.AddrFrom4([4]byte{10, 0, 0, 1})})
		time.Sleep(5 * time.Second)
		if n := looks(); n != before {
			t.Errorf("a stranger that was asked about is again: %d looks, were %d", n, before)
		}
	})
}

// Strangers that come and go leave room for others, whether AWS answers or not.
func TestStrangersLeaveRoom(t *testing.T) {
	for name, err := range map[string]error{"nothing about them": nil, "no answer": errors.New("unreachable")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk("111122223333")
				d.run("a", "10.0.0.4", 7, 0)
				d.fail["Sessions"] = err
				r := newRig(t, nil, d)
				r.table.SetUnknown(session.Keep, 256)
				r.start(t)
				for n := range 600 { // ten a minute, for an hour
					address := netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}).String()
					if got, want := r.name(9, address, "x"), "vni-9-"+address; got != want {
						t.Fatalf("stranger %d is %s, want %s", n, got, want)
					}
					time.Sleep(6 * time.Second)
				}
			})
		})
	}
}

func TestStrangersAreBounded(t *testing.T) {
	s := strangers{asked: make(map[identity]pause)}
	at := epoch
	for n := range 2 * maxStrangers {
		if asked := s.ask(identity{vni: uint32(n)}, at); asked != (n < maxStrangers) {
			t.Fatalf("stranger %d: asked %v", n, asked)
		}
	}
	at = at.Add(absentShortest)
	if !s.ask(identity{vni: maxStrangers}, at) || len(s.asked) > maxStrangers {
		t.Errorf("no room after the pause; %d remembered", len(s.asked))
	}
}

func TestPauseDoubles(t *testing.T) {
	var s strangers
	s.asked = make(map[identity]pause)
	var got []time.Duration
	asked := epoch
	for at := epoch; at.Before(epoch.Add(time.Hour)); at = at.Add(time.Second) {
		if s.ask(identity{vni: 7}, at) {
			got = append(got, at.Sub(asked))
			asked = at
		}
	}
	want := []time.Duration{0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute}
	if !slices.Equal(got, want) {
		t.Errorf("asked after %v, want %v", got, want)
	}
	s.known([]session.Entry{{VNI: 7}})
	if !s.ask(identity{vni: 7}, asked) {
		t.Error("not asked although an entry explained it meanwhile")
	}
}
