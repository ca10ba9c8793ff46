package changes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Who writes of more regions than are read is in nobody's way, and what else there is
// of that account is read as before.
func TestReaderTooManyRegions(t *testing.T) {
	r := read(t)
	put := func(at int, account, region string) {
		c := change(at, Created, "a")
		c.Account, c.Region = account, region
		r.put(c)
	}
	put(1, home, "r-00000")
	put(1, home, "z") // is known before the others are
	r.want(2, "1 created a", "1 created a")
	for i := range 3 * pageLen {
		put(3, home, fmt.Sprintf("r-%05d", i))
	}
	put(4, home, "z")
	put(5, far, "eu-central-1")
	got, err := r.next(100)
	if len(got) != maxRegions+1 || err != nil || !slices.Equal(got[maxRegions-1:], []string{"4 created a", "5 created a"}) {
		t.Errorf("%q, %v", got, err)
	}
	if err := r.Stats().Passed; err == nil || !strings.Contains(err.Error(), "32 regions of account "+home+": r-00031 is left out") {
		t.Errorf("passed over: %v", err)
	}
	before := r.lists
	r.want(200)
	if n := r.lists - before; n > maxRegions {
		t.Errorf("%d lists", n)
	}
}

func TestReaderTooManyAccounts(t *testing.T) {
	r := read(t)
	for i := range maxAccounts + 3 {
		c := change(1, Created, "a")
		c.Account = fmt.Sprintf("%012d", i)
		r.put(c)
	}
	got, err := r.next(2)
	if len(got) != maxAccounts || err != nil {
		t.Errorf("%d changes, %v", len(got), err)
	}
	if err := r.Stats().Passed; err == nil || !strings.Contains(err.Error(), "000000000256 is left out") {
		t.Errorf("passed over: %v", err)
	}
}

// fill has a reader remember keys of a minute until an account has half of all.
func (r *reading) fill(s *spot, at int) {
	for i := 0; !r.full(s.of); i++ {
		r.remember(s, place(home, "eu-central-1")+moment(second(at+i%60))+fmt.Sprint("!", i))
	}
}

// Of an account with too many keys the latest wait, and nothing that is not ten
// minutes old is taken for over; others go on.
func TestReaderFull(t *testing.T) {
	r := read(t)
	r.put(change(1, Created, "a"), change(590, Created, "soon"))
	r.next(2)
	s := r.places[place(home, "eu-central-1")]
	r.fill(s, 530)
	if s.of.kept != maxSeen/2 || r.kept != maxSeen/2 {
		t.Fatalf("%d of %d keys", s.of.kept, r.kept)
	}
	others := change(4, Created, "other")
	others.Account = far
	r.put(change(3, Created, "b"), others)
	r.want(5, "4 created other")
	if err := r.Stats().Passed; err == nil || !strings.Contains(err.Error(), "_eni-b_created_") {
		t.Errorf("passed over: %v", err)
	}
	for _, at := range []int{5, 602, 700, 1129} {
		r.next(at)
		if limit := place(home, "eu-central-1") + moment(second(max(0, at-600))); s.start > limit {
			t.Errorf("at %d all is over up to %s", at, s.start)
		}
		if r.kept > maxSeen {
			t.Errorf("%d keys", r.kept)
		}
	}
}

// What waited comes as soon as what was read is ten minutes old.
func TestReaderFullForAWhile(t *testing.T) {
	r := read(t)
	r.put(change(1, Created, "a"))
	r.next(2)
	s := r.places[place(home, "eu-central-1")]
	r.fill(s, 100)
	r.put(change(200, Created, "b"), change(201, Created, "c"))
	r.want(202)
	r.want(600)
	r.want(1200) // by the end of which there is room
	r.want(1201, "200 created b", "201 created c")
	r.put(change(1400, Created, "d"))
	r.want(1401, "1400 created d")
	if r.Stats().Passed != nil || r.kept != s.of.kept || r.kept != len(s.seen) || r.kept != 1 {
		t.Errorf("%d, %d, %d keys, %v", r.kept, s.of.kept, len(s.seen), r.Stats().Passed)
	}
}
