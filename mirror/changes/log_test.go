package changes

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLogPutAndSince(t *testing.T) {
	for name, objects := range map[string]Objects{"dir": Dir(t.TempDir()), "memory": newMemory()} {
		t.Run(name, func(t *testing.T) {
			l, ctx := NewLog(objects), t.Context()
			c := change(5, Created, "a")
			c.At = c.At.Add(123456789).In(time.FixedZone("", 3600))
			c.Reason, c.ECS = "<a & b>\n", &ECS{Cluster: "prod", TaskARN: "arn:1", ContainerIDs: []string{"x"}}
			refused := change(20, Refused, "b")
			refused.SessionID, refused.Code, refused.Message = "", "UnsupportedOperation", "not \u00e4 \x00 good"
			for _, c := range []Change{refused, c, c} {
				if err := l.Put(ctx, c); err != nil {
					t.Fatal(err)
				}
			}
			c.At = c.At.UTC()
			keys, err := objects.List(ctx, "", 10)
			if err != nil || len(keys) != 2 {
				t.Fatalf("%q, %v", keys, err)
			}
			want := "111122223333/eu-central-1/2026/11/21/20/20261121T205955.123456789Z_eni-a_created_"
			if got, ok := strings.CutPrefix(keys[0], want); !ok || len(got) != len("01234567.json") {
				t.Errorf("key %s", keys[0])
			}
			got, _, err := NewReader(objects, epoch).Next(ctx, second(30))
			if err != nil || !reflect.DeepEqual(got, []Change{c, refused}) {
				t.Errorf("%+v, %v", got, err)
			}
			for at, n := range map[time.Time]int{c.At: 2, c.At.Add(1): 1, second(21): 0} {
				if got, _, err := NewReader(objects, at).Next(ctx, second(30)); len(got) != n || err != nil {
					t.Errorf("since %v: %v, %v", at, say(got), err)
				}
			}
		})
	}
}

func TestPutRefusesWhatNobodyCanRead(t *testing.T) {
	m := newMemory()
	tests := map[string]func(*Change){
		"kind":           func(c *Change) { c.Kind = "made" },
		"account":        func(c *Change) { c.Account = "../22223333" },
		"region":         func(c *Change) { c.Region = "eu/central" },
		"interface_id":   func(c *Change) { c.InterfaceID = "eni-a/../b" },
		"session_id":     func(c *Change) { c.SessionID = "" },
		"mac":            func(c *Change) { c.MAC = "02:00" },
		"vni":            func(c *Change) { c.VNI = 1 << 24 },
		"session_number": func(c *Change) { c.Number = 32767 },
		"packet_length":  func(c *Change) { c.PacketLength = 8501 },
		"not the time":   func(c *Change) { c.At = time.Time{} },
		"the time":       func(c *Change) { c.At = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) },
		"ecs":            func(c *Change) { c.ECS = &ECS{TaskARN: "a\nb"} },
		"64 KiB":         func(c *Change) { c.Message = strings.Repeat("x", MaxObject) },
	}
	for want, spoil := range tests {
		c := change(0, Created, "a")
		spoil(&c)
		if err := NewLog(m).Put(t.Context(), c); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if len(m.held) != 0 {
		t.Errorf("%d were put", len(m.held))
	}
}

func TestParsePassesOverUnknownFields(t *testing.T) {
	data, err := json.Marshal(change(1, Deleted, "a"))
	if err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(data), "{", `{"later":{"a":[1]},`, 1)
	if got, err := Parse([]byte(more)); err != nil || !reflect.DeepEqual(got, change(1, Deleted, "a")) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Refusals gets no more objects than it returns. What another account says of an
// interface does nothing to it.
func TestRefusals(t *testing.T) {
	m := newMemory()
	foreign := change(6, Deleted, "again")
	foreign.Account = far
	l, ctx := NewLog(m), t.Context()
	for _, c := range []Change{
		change(-5, Refused, "old"), change(1, Refused, "made"), change(2, Created, "made"),
		change(3, Refused, "twice"), change(9, Refused, "twice"), change(4, Created, "again"), change(5, Refused, "again"),
		foreign,
	} {
		if err := l.Put(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Refusals(ctx, Place{}, epoch)
	if want := []string{"3 refused twice", "5 refused again", "9 refused twice"}; !slices.Equal(say(got), want) || err != nil {
		t.Errorf("%q, %v", say(got), err)
	}
	if m.gets != 3 {
		t.Errorf("%d objects were got", m.gets)
	}
}

// Of a place come its refusals alone, and nothing of another one is got, since who
// mirrors may not.
func TestRefusalsOfPlace(t *testing.T) {
	m := newMemory()
	l, ctx := NewLog(m), t.Context()
	for i := range 2 * maxFailures {
		c := change(i, Refused, fmt.Sprint("other", i))
		c.Account = []string{"000000000001", far}[i%2]
		data, _ := encode(&c)
		m.fail[keyOf(&c, data)] = errors.New("access denied")
		if err := l.Put(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Put(ctx, change(99, Refused, "own")); err != nil {
		t.Fatal(err)
	}
	got, err := l.Refusals(ctx, Place{home, "eu-central-1"}, epoch)
	if want := []string{"99 refused own"}; !slices.Equal(say(got), want) || err != nil || m.gets != 1 {
		t.Errorf("%q, %v, after %d objects", say(got), err, m.gets)
	}
}

// What was done in a place comes in order, from its time on, and nothing else is got.
func TestDone(t *testing.T) {
	m := newMemory()
	l, ctx := NewLog(m), t.Context()
	foreign := change(6, Created, "foreign")
	foreign.Account = far
	for _, c := range []Change{change(1, Created, "early"), change(7, Deleted, "a"), change(5, Created, "a"), change(6, Refused, "b"), change(6, Modified, "c"), foreign} {
		if err := l.Put(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Done(ctx, Place{home, "eu-central-1"}, epoch.Add(2*time.Second))
	if want := []string{"5 created a", "6 modified c", "7 deleted a"}; !slices.Equal(say(got), want) || err != nil || m.gets != 3 {
		t.Errorf("%q, %v, after %d objects", say(got), err, m.gets)
	}
}

// Of more refusals than are returned those come that are the latest.
func TestRefusalsLimit(t *testing.T) {
	m := newMemory()
	l, ctx := NewLog(m), t.Context()
	const n = 2*maxRefusals + 1000
	for i := range n {
		c := change(0, Refused, fmt.Sprint(i%7))
		c.At = c.At.Add(time.Duration(i) * time.Millisecond)
		if err := l.Put(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Refusals(ctx, Place{}, epoch)
	if len(got) != maxRefusals || err != nil || got[0].At != epoch.Add((n-maxRefusals)*time.Millisecond) || got[maxRefusals-1].At != epoch.Add((n-1)*time.Millisecond) {
		t.Errorf("%d, %v", len(got), err)
	}
}

func FuzzParse(f *testing.F) {
	data, _ := json.Marshal(change(1, Created, "a"))
	f.Add(data)
	f.Add([]byte(`{"ecs":null,"at":"2026-11-21T20:59:50+23:59"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			if !reflect.DeepEqual(c, Change{}) {
				t.Errorf("a change with an error: %+v", c)
			}
			return
		}
		again, err := encode(&c)
		if err == ErrTooLong { // what is escaped takes more
			return
		}
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if d, err := Parse(again); err != nil || d.At != c.At || keyOf(&d, again) != keyOf(&c, again) {
			t.Errorf("%+v, %v", d, err)
		}
		if l, ok := parseKey(keyOf(&c, data)); !ok || !l.at.Equal(c.At) || l.iface != c.InterfaceID || l.kind != c.Kind || l.place != place(c.Account, c.Region) {
			t.Errorf("key %s says %+v", keyOf(&c, data), l)
		}
		if key := keyOf(&c, data); !validKey(key) {
			t.Errorf("%s is no key", key)
		}
	})
}

func FuzzKey(f *testing.F) {
	c := change(1, Created, "a")
	f.Add(keyOf(&c, nil))
	f.Add(strings.Replace(keyOf(&c, nil), "_e3b0c442", "_e3b\x10c4L2", 1)) // no hexadecimal digits
	f.Add("a/b")
	f.Fuzz(func(t *testing.T, key string) {
		l, ok := parseKey(key)
		if ok && (!validKey(key) || !strings.HasPrefix(key, l.place+moment(l.at))) {
			t.Errorf("%q says %+v", key, l)
		}
		if after := beyond(key); after < key {
			t.Errorf("after %q comes %q", key, after)
		}
	})
}
