package discovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
)

func TestChangesRefused(t *testing.T) {
	dir := t.TempDir()
	refused := func(name string, at int) changes.Change {
		c := saying("refused", name, name, "10.0.0.1", 7, at)
		c.SessionID, c.Code, c.Message = "", "UnsupportedOperation", "eni-"+name+" is not\na source \x1b[31m"
		return c
	}
	synctest.Test(t, func(t *testing.T) {
		w := newTeller(t, dir, nil, away())
		w.tell(refused("z", now()-24*3600+300), refused("y", now()-25*3600))
		w.start(t)
		if r := w.Refused(); len(r) != 1 || r[0].InterfaceID != "eni-z" {
			t.Errorf("at the start: %+v", r)
		}
		w.tell(refused("a", now()), refused("b", now()))
		w.next()
		w.tell(refused("a", now()), saying("created", "b", "b", "10.0.0.2", 7, now()), refused("b", now()-1))
		w.next()
		r := w.Refused()
		if len(r) != 2 || r[1].InterfaceID != "eni-a" || r[1].Tries != 2 || r[1].Last.Sub(r[1].Since) != 2*time.Second ||
			r[1].Service != "web" || r[1].Cluster != "prod" || r[1].Code != "UnsupportedOperation" || r[1].Message != "eni-a is not\na source \x1b[31m" {
			t.Errorf("%+v", r)
		}
		if n := w.log.lines("AWS refuses to mirror"); n != 2 {
			t.Errorf("%d lines", n)
		}
		if n := w.log.lines(`message="eni-a is not_a source _[31m"`); n != 1 {
			t.Errorf("%d lines with the message", n)
		}
		w.tell(saying("created", "a", "a", "10.0.0.1", 7, now()-4)) // before it was refused, and late
		w.next()
		if r := w.Refused(); len(r) != 2 {
			t.Errorf("%+v", r)
		}
		w.tell(saying("refused", "c", "c", "10.0.0.3", 7, now())) // to delete a session, or change it
		w.next()
		if r := w.Refused(); len(r) != 2 {
			t.Errorf("an interface that is mirrored: %+v", r)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if r := w.Refused(); len(r) != 1 || r[0].InterfaceID != "eni-a" {
			t.Errorf("when one is a day old: %+v", r)
		}
	})
}

func TestRefusalsLimit(t *testing.T) {
	r := refusals{of: make(map[iface]*Refusal)}
	for i := range maxRefused + 1 {
		c := changes.Change{Kind: changes.Refused, InterfaceID: fmt.Sprint(i), At: second(i), Code: strings.Repeat("ä", maxCode)}
		if !r.take(&c, second(maxRefused)) {
			t.Fatal("not new")
		}
	}
	if r.of[iface{id: "999"}] != nil || r.of[iface{id: "1000"}] == nil || len(r.of) != maxRefused*9/10+1 {
		t.Errorf("%d are kept", len(r.of))
	}
	if one := r.of[iface{id: "1000"}]; len(one.Code) != maxCode {
		t.Errorf("code of %d bytes", len(one.Code))
	}
}

// What the changes of another account or region say of an interface neither hides a
// refusal nor takes its place.
func TestRefusalsOfOthers(t *testing.T) {
	r := refusals{of: make(map[iface]*Refusal)}
	say := func(account, region, kind, code string, at int) bool {
		c := changes.Change{Account: account, Region: region, Kind: kind, InterfaceID: "eni-a", Code: code, At: second(at)}
		return r.take(&c, second(100))
	}
	const own, other = "111122223333", "444455556666"
	say(other, "eu-central-1", changes.Created, "", 50)
	say(own, "eu-west-1", changes.Created, "", 50)
	if !say(own, "eu-central-1", changes.Refused, "Unsupported", 10) {
		t.Error("others hide it")
	}
	say(other, "eu-central-1", changes.Deleted, "", 60)
	say(other, "eu-central-1", changes.Refused, "Invented", 70)
	say(own, "eu-west-1", changes.Refused, "Elsewhere", 70)
	var got []string
	for _, one := range r.list() {
		got = append(got, one.Account+" "+one.Region+" "+one.Code)
	}
	want := []string{own + " eu-central-1 Unsupported", own + " eu-west-1 Elsewhere", other + " eu-central-1 Invented"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	say(own, "eu-central-1", changes.Created, "", 80)
	if n := len(r.list()); n != 2 {
		t.Errorf("%d are left", n)
	}
}

// Who writes of more regions than are read is told of, and holds up nobody.
func TestChangesPassedOver(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newTeller(t, dir, nil, away())
		for i := range 40 {
			c := saying("created", "1", "a", "10.0.0.1", 7, now())
			c.Account, c.Region = "000000000001", fmt.Sprintf("r-%02d", i)
			w.tell(c)
		}
		w.start(t)
		w.next()
		w.tell(saying("created", "2", "b", "10.0.0.2", 7, now()))
		w.next()
		if got := w.name(7, "10.0.0.2", "b"); got != "web-bbbbbbbb" {
			t.Errorf("of another account: %s", got)
		}
		if s := w.Changes(); s.Read != 33 || !strings.Contains(s.Error, "r-32 is left out") || !s.StaleSince.IsZero() || time.Since(s.LastSuccess) > dirEvery {
			t.Errorf("%+v", s)
		}
		if n := w.log.lines("are passed over"); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}
