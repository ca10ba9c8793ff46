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

// A stranger is asked about again while it is one, where the polls do not do that.
func TestStrangerIsAskedAgain(t *testing.T) {
	tests := []struct {
		name  string
		poll  time.Duration
		until int // second at which the session file explains it
		want  []int
	}{
		{"polls are rare", time.Hour, 600, []int{0, 5, 60, 120, 240, 480}},
		{"explained", time.Hour, 130, []int{0, 5, 60, 120}},
		{"polls come as often", 2 * time.Minute, 150, []int{0, 5, 60, 120}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk("111122223333")
				r := newRig(t, nil, d)
				r.poll = tt.poll
				r.start(t)
				var got []int
				looks := uint64(0)
				for n := range 600 {
					switch n {
					case 5:
						r.name(9, "10.0.0.1", "x")
					case tt.until:
						r.table.Replace([]session.Entry{{Name: "db", VNI: 9}})
					}
					synctest.Wait()
					if now := d.Calls()["Sessions"]; now != looks {
						looks, got = now, append(got, n)
					}
					time.Sleep(time.Second)
				}
				got = slices.DeleteFunc(got, func(n int) bool { return n > 150 && tt.poll < time.Hour }) // the poll and so on
				if !slices.Equal(got, tt.want) {
					t.Errorf("looks at seconds %v, want %v", got, tt.want)
				}
				r.strangers.mu.Lock()
				defer r.strangers.mu.Unlock()
				if n := len(r.strangers.asked); n != 0 && tt.until < 600 {
					t.Errorf("%d that are explained are remembered", n)
				}
			})
		})
	}
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
	s := strangers{asked: make(map[session.Identity]asked)}
	at := epoch
	for n := range 2 * maxStrangers {
		if asked := s.ask(&packet.Session{VNI: uint32(n)}, at); asked != (n < maxStrangers) {
			t.Fatalf("stranger %d: asked %v", n, asked)
		}
	}
	at = at.Add(absentShortest)
	if s.again(at, absentShortest) {
		t.Error("strangers have looks made that polls make anyway")
	}
	if !s.ask(&packet.Session{VNI: maxStrangers}, at) || len(s.asked) > maxStrangers {
		t.Errorf("no room after the pause; %d remembered", len(s.asked))
	}
}

func TestPauseDoubles(t *testing.T) {
	var s strangers
	s.asked = make(map[session.Identity]asked)
	var got []time.Duration
	asked := epoch
	for at := epoch; at.Before(epoch.Add(time.Hour)); at = at.Add(time.Second) {
		if s.ask(&packet.Session{VNI: 7}, at) {
			got = append(got, at.Sub(asked))
			asked = at
		}
	}
	want := []time.Duration{0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute}
	if !slices.Equal(got, want) {
		t.Errorf("asked after %v, want %v", got, want)
	}
	s.known([]session.Entry{{VNI: 7}})
	if !s.ask(&packet.Session{VNI: 7}, asked) {
		t.Error("not asked although an entry explained it meanwhile")
	}
}
