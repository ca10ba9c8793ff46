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
