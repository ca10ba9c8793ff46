package changes

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A reading is a reader of a memory.
type reading struct {
	*Reader
	*memory
	t *testing.T
}

func read(t *testing.T) *reading {
	m := newMemory()
	return &reading{NewReader(m, epoch), m, t}
}

func (r *reading) put(all ...Change) {
	r.t.Helper()
	for _, c := range all {
		if err := NewLog(r.memory).Put(r.t.Context(), c); err != nil {
			r.t.Fatal(err)
		}
	}
}

// next reads at a second all that there is.
func (r *reading) next(at int) (lines []string, err error) {
	for more := true; more; {
		var batch []Change
		var wrong error
		batch, more, wrong = r.Next(r.t.Context(), second(at))
		lines = append(lines, say(batch)...)
		err = errors.Join(err, wrong)
	}
	return lines, err
}

func (r *reading) want(at int, want ...string) {
	r.t.Helper()
	if got, err := r.next(at); !slices.Equal(got, want) || err != nil {
		r.t.Errorf("at %d: %q, %v, want %q", at, got, err, want)
	}
}

func TestReaderEachOnceAndLateOnes(t *testing.T) {
	r := read(t)
	r.put(change(-1, Created, "before"), change(5, Created, "a"))
	r.want(6, "5 created a")
	r.want(7)
	r.put(change(3, Created, "late"), change(800, Created, "b")) // the hour ends meanwhile
	r.want(801, "3 created late", "800 created b")
	r.put(change(201, Deleted, "a"), change(199, Deleted, "late"))
	r.want(802, "201 deleted a") // the other one is more than ten minutes late
	r.want(803)
	if n := len(r.places[place(home, "eu-central-1")].seen); n != 2 {
		t.Errorf("%d keys are remembered", n)
	}
}

// A clock that is ahead does not hide what others say, and what it says comes when
// it is ten minutes ahead at most.
func TestReaderClockAhead(t *testing.T) {
	r := read(t)
	r.put(change(1_000_000, Created, "ahead"), change(610, Created, "soon"))
	r.want(10, "610 created soon")
	if err := r.Stats().Passed; err == nil || !strings.Contains(err.Error(), "_eni-ahead_created_") {
		t.Errorf("passed over: %v", err)
	}
	r.put(change(11, Created, "a"))
	r.want(12, "11 created a")
	r.want(999_399)
	r.want(999_400, "1000000 created ahead")
	if err := r.Stats().Passed; err != nil {
		t.Errorf("passed over: %v", err)
	}
	r.put(change(999_390, Created, "b")) // of a clock that is right
	r.want(999_401, "999390 created b")
	for at := 1_000_020; at < 2_000_000; at += 100_000 {
		r.want(at)
	}
}

func TestReaderPlaces(t *testing.T) {
	r := read(t)
	for i, region := range []string{"us-east-1", "eu-central-1", "eu-central-10", "af-south-1"} {
		for _, account := range []string{home, far} {
			c := change(i, Created, fmt.Sprintf("%s-%d", account[:1], i))
			c.Account, c.Region = account, region
			r.put(c)
		}
		r.next(60 * (i + 1)) // so that places show that come before those known
	}
	for _, strange := range []string{"AWSLogs/x", "AWSLogs/y", home + "/x", home + "/Region/x", home + "/eu-central-1/2099/x", "zz"} {
		r.held[strange] = "{}"
	}
	if r.stats.Read != 8 || len(r.places) != 8 {
		t.Fatalf("%d changes of %d places", r.stats.Read, len(r.places))
	}
	if p := r.Places(); len(p) != 8 || p[2] != (Place{home, "eu-central-10"}) {
		t.Errorf("places %v", p)
	}
	for i := range 3 * pageLen {
		r.held[fmt.Sprint("AWSLogs/", i)] = "{}"
	}
	r.next(1000)
	before := r.lists
	r.want(1001)
	if n := r.lists - before; n > 2 { // what is strange is passed over at once
		t.Errorf("%d lists", n)
	}
	if r.gets != 8 {
		t.Errorf("%d objects were got", r.gets)
	}
}

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

// Many objects come in batches, and those of one moment are all there.
func TestReaderBatches(t *testing.T) {
	r := read(t)
	const n = 3*maxBatch + 5
	for i := range n {
		r.put(change(1, Created, fmt.Sprint(i)))
	}
	batch, more, err := r.Next(t.Context(), second(2))
	if len(batch) != maxBatch || !more || err != nil {
		t.Errorf("%d, %v, %v", len(batch), more, err)
	}
	if rest, err := r.next(2); len(rest) != n-maxBatch || err != nil {
		t.Errorf("%d, %v", len(rest), err)
	}
	r.want(3)
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

func TestReaderDamage(t *testing.T) {
	r := read(t)
	r.put(change(1, Created, "a"), change(2, Created, "b"), change(3, Created, "c"), change(4, Created, "d"), change(5, Created, "e"))
	keys, _ := r.List(t.Context(), "", 10)
	r.held[keys[0]] = `{"at":`
	r.held[keys[1]] = strings.Replace(r.held[keys[1]], home, far, 1) // of another account
	r.held[keys[2]] = r.held[keys[3]]
	r.fail[keys[4]] = ErrTooLong
	r.want(6, "4 created d")
	if s := r.Stats(); s.Read != 1 || s.Damaged != 4 || s.Damage == nil {
		t.Errorf("%+v", s)
	}
	r.want(7)
	if r.gets != 5 {
		t.Errorf("%d objects were got", r.gets)
	}
}

func TestReaderFailures(t *testing.T) {
	r := read(t)
	away := errors.New("away")
	for i := range 40 {
		r.put(change(i, Created, fmt.Sprint(i)))
	}
	r.fail[""] = away
	if got, err := r.next(50); got != nil || !errors.Is(err, away) {
		t.Errorf("%v, %v", got, err)
	}
	delete(r.fail, "")
	keys, _ := r.List(t.Context(), "", 100)
	r.fail[keys[3]] = away
	if got, err := r.next(50); len(got) != 39 || !errors.Is(err, away) {
		t.Errorf("%v, %v", got, err)
	}
	r.put(change(3000, Created, "later")) // what failed is not over
	if got, err := r.next(3001); len(got) != 1 || !errors.Is(err, away) {
		t.Errorf("%v, %v", got, err)
	}
	delete(r.fail, keys[3])
	r.want(3002, "3 created 3")

	for i := range 40 {
		r.put(change(3100+i, Created, fmt.Sprint(i)))
	}
	keys, _ = r.List(t.Context(), keys[len(keys)-1], 100)
	for _, key := range keys {
		r.fail[key] = away
	}
	before := r.gets
	if got, err := r.next(3200); got != nil || !errors.Is(err, away) {
		t.Errorf("%v, %v", got, err)
	}
	if n := r.gets - before; n > maxFailures+atOnce {
		t.Errorf("%d objects were asked for", n)
	}
	clear(r.fail)
	if got, err := r.next(3201); len(got) != 40 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// An object that is removed between list and get is no failure.
// What cannot be got of one account holds up no other.
func TestReaderFailuresOfPlace(t *testing.T) {
	r := read(t)
	for i := range 3 * maxFailures {
		c := change(i, Created, fmt.Sprint("locked", i))
		c.Account = "000000000001"
		r.put(c)
		data, _ := encode(&c)
		r.fail[keyOf(&c, data)] = errors.New("access denied")
	}
	r.put(change(50, Created, "a"), change(51, Created, "b"))
	got, err := r.next(60)
	if want := []string{"50 created a", "51 created b"}; !slices.Equal(got, want) || err == nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestReaderRemoved(t *testing.T) {
	r := read(t)
	r.put(change(1, Created, "a"))
	keys, _ := r.List(t.Context(), "", 1)
	entries, _, _ := r.list(t.Context(), second(2))
	delete(r.held, keys[0])
	if err := r.get(t.Context(), entries); err != nil || entries[0].change != nil || r.stats.Damaged != 0 {
		t.Errorf("%+v, %v", entries, err)
	}
}

func TestReaderOfNothing(t *testing.T) {
	r := read(t)
	r.want(1)
	r.want(1)
	if r.lists != 2 || r.Stats() != (Stats{}) {
		t.Errorf("%d lists, %+v", r.lists, r.Stats())
	}
}
