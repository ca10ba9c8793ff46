package splunk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

var sessions = []*packet.Session{
	{ID: 1, Name: "web", VNI: 7, Known: true}, {ID: 2, Name: "db", VNI: 8, Known: true}, {ID: 3, Name: "mail", VNI: 9, Known: true},
}

// giveOf gives flows of a session, and stays until they are handed over.
func giveOf(s *Sink, of *packet.Session, from, to int) {
	for n := from; n < to; n++ {
		r := flow(n)
		r.Session = of
		s.Flow(0, r)
	}
	time.Sleep(100 * time.Millisecond)
	s.Mark(0, 0, time.Now().UnixNano())
}

// spentOf reads the file of a budget.
func spentOf(t testing.TB, dir string) spending {
	t.Helper()
	var s spending
	text, err := os.ReadFile(filepath.Join(dir, budgetName))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBudget says that beyond the budget of a day the largest flows of a session
// and minute are sent, the others dropped, and that the log says so before.
func TestBudget(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		var log bytes.Buffer
		const limit = 256 << 10
		c.Log, c.Budget = logTo(&log), Budget{Flow: limit, Top: 2}
		s := open(t, c)
		giveOf(s, sessions[0], 0, 1000)
		giveOf(s, sessions[1], 2000, 2100)
		after(10 * time.Second)
		direct := len(server.Events())
		l := s.Ledger()
		if l.Stored != uint64(direct) || l.Pending != 4 || l.Dropped[packet.DropBudget] != uint64(1100-4-direct) {
			t.Errorf("account %+v, want %d stored, 4 pending and the others dropped", l, direct)
		}
		after(time.Minute)
		l = s.Ledger()
		if l.Stored != uint64(direct+4) || l.Pending != 0 {
			t.Errorf("account %+v, want 4 more stored", l)
		}
		giveOf(s, sessions[2], 3000, 3001)
		l = finish(t, s)
		if l.Stored != uint64(direct+5) {
			t.Errorf("account %+v, want what is held to be sent at the end", l)
		}
		times := numbers(t, server)
		wantOnce(t, times, 0, direct)
		for _, n := range []int{998, 999, 2098, 2099, 3000} {
			if times[n] != 1 {
				t.Errorf("flow %d came %d times", n, times[n])
			}
		}
		if len(times) != direct+5 {
			t.Errorf("flows %v came", slices.Sorted(maps.Keys(times)))
		}
		// The order of a roll-up is by session, then by bytes.
		var last []int
		for _, a := range arrivals(t, server)[direct : direct+4] {
			last = append(last, a.flow.Bytes)
		}
		if !slices.Equal(last, []int{999, 998, 2099, 2098}) {
			t.Errorf("the roll-up is %v", last)
		}
		var bytes int64
		for _, e := range server.Events() {
			bytes += int64(len(e))
		}
		if got := spentOf(t, c.Dir); got.Day != "2000-01-01" || got.Bytes["flow"] != bytes {
			t.Errorf("spent %+v, want %d bytes", got, bytes)
		}
		if n := strings.Count(log.String(), "80 % of the day's budget"); n != 1 {
			t.Errorf("warned %d times:\n%s", n, &log)
		}
	})
}

// TestBudgetIsOfADay says that what was spent is kept over a restart, and is
// nothing on the next day.
func TestBudgetIsOfADay(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		var ahead atomic.Int64
		c.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		c.Budget = Budget{Flow: 100 << 10}
		run := func(name string, want bool) {
			t.Helper()
			server.Clear()
			s := open(t, c)
			give(s, 0, 10)
			after(time.Second)
			l := finish(t, s)
			if came := len(server.Events()) == 10; came != want || (l.Dropped[packet.DropBudget] == 0) != want {
				t.Errorf("%s: %d events came, account %+v; want them to come: %v", name, len(server.Events()), l, want)
			}
		}
		run("nothing is spent", true)
		s := open(t, c)
		give(s, 0, 1000)
		after(time.Second)
		finish(t, s)
		run("it is spent", false)
		ahead.Store(int64(24*time.Hour - 10*time.Second))
		run("the last minute of the day", false)
		s = open(t, c)
		ahead.Store(int64(24 * time.Hour))
		after(2 * time.Second) // a tick notices
		server.Clear()
		give(s, 0, 10)
		after(time.Second)
		finish(t, s)
		wantOnce(t, numbers(t, server), 0, 10)
		if got := spentOf(t, c.Dir); got.Day != "2000-01-02" || got.Bytes["flow"] > 20_000 {
			t.Errorf("spent %+v, want that of 10 flows", got)
		}
		run("the next day", true)
	})
}

// TestBudgetFileOfOthers says that a file that cannot be understood, or says what
// cannot be, does not stop the sink.
func TestBudgetFileOfOthers(t *testing.T) {
	for text, row := range map[string]struct{ comes, warns bool }{
		"":          {true, true},
		"{":         {true, true},
		`{"day":1}`: {true, true},
		`null`:      {true, false},
		`{"day":"1999-12-31","bytes":{"flow":99999999}}`:             {true, false},
		`{"day":"2000-01-01","bytes":{"flow":-9223372036854775808}}`: {true, false},
		`{"day":"2000-01-01","bytes":{"dns":99999999}}`:              {true, false},
		`{"day":"2000-01-01","bytes":{"flow":99999999}}`:             {false, false},
		`{"day":"2000-01-01","bytes":{"flow":9223372036854775807}}`:  {false, false},
	} {
		t.Run(text, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
				var log bytes.Buffer
				c.Log, c.Budget = logTo(&log), Budget{Flow: 100 << 10}
				if err := os.MkdirAll(c.Dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(c.Dir, budgetName), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				s := open(t, c)
				give(s, 0, 10)
				after(time.Second)
				finish(t, s)
				if came := len(server.Events()) == 10; came != row.comes {
					t.Errorf("%d events came, want them to: %v", len(server.Events()), row.comes)
				}
				if n := spentOf(t, c.Dir).Bytes["flow"]; n < 0 {
					t.Errorf("%d bytes are spent", n)
				}
				if warned := strings.Contains(log.String(), "begins at 0"); warned != row.warns {
					t.Errorf("warned: %v, want %v: %s", warned, row.warns, &log)
				}
			})
		})
	}
}

// TestBudgetOfLines says that a flow counts as many lines of VPC Flow Logs as it
// has, and that its own event is counted apart.
func TestBudgetOfLines(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.VPCFlow, c.Budget = true, Budget{VPCFlow: 1 << 10}
		s := open(t, c)
		give(s, 0, 10)
		one := flow(10)
		one.Side[1] = packet.FlowSide{}
		s.Flow(0, one)
		s.Mark(0, 0, time.Now().UnixNano())
		after(time.Second)
		l := finish(t, s)
		if l.Offered != 11+21 || l.Stored != 11 || l.Dropped[packet.DropBudget] != 21 {
			t.Errorf("account %+v, want 11 flows stored and 21 lines dropped", l)
		}
		wantOnce(t, numbers(t, server), 0, 11)
	})
}

// TestBudgetOfFramesAndLedger says that those are dropped once theirs is spent.
func TestBudgetOfFramesAndLedger(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Ledger, c.Report, c.Frames = true, report, FrameConfig{Mode: FramesAll}
		c.Budget = Budget{Frame: 10 << 10, Ledger: 1 << 10}
		s := open(t, c)
		offer(s, 100)
		after(time.Hour)
		finish(t, s)
		bytes := make(map[string]int64)
		for _, e := range server.Events() {
			var a arrival
			if err := json.Unmarshal(e, &a); err != nil {
				t.Fatal(err)
			}
			bytes[strings.TrimPrefix(a.Sourcetype, "periscope:")] += int64(len(e))
		}
		got := spentOf(t, c.Dir).Bytes
		for name, limit := range map[string]int64{"frame": 10 << 10, "ledger": 1 << 10} {
			if n := bytes[name]; n != got[name] || n > limit || n < limit-1000 {
				t.Errorf("%d bytes of %s came, %d are spent; want at most %d", n, name, got[name], limit)
			}
		}
	})
}

// TestRollUpIsBounded says that the flows of further sessions are dropped once so
// many are kept.
func TestRollUpIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Budget = Budget{Flow: 1, Top: rollMost / 2}
		s := open(t, c)
		for i, of := range sessions {
			giveOf(s, of, 1000*i, 1000*i+10)
		}
		after(time.Second)
		if l := s.Ledger(); l.Pending != 20 || l.Dropped[packet.DropBudget] != 10 {
			t.Errorf("account %+v, want the flows of two sessions pending", l)
		}
		finish(t, s)
	})
}

// TestRollUpKeepsTheLargest holds what is kept in whatever order flows come.
func TestRollUpKeepsTheLargest(t *testing.T) {
	for _, order := range [][]int{{1, 2, 3, 4, 5}, {5, 4, 3, 2, 1}, {3, 5, 1, 4, 2}, {5, 5, 5, 1, 4}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
				c.Budget = Budget{Flow: 1, Top: 3}
				s := open(t, c)
				for _, n := range order {
					s.Flow(0, flow(n))
				}
				s.Mark(0, 0, time.Now().UnixNano())
				finish(t, s)
				var got []int
				for _, a := range arrivals(t, server) {
					got = append(got, a.flow.Bytes)
				}
				want := slices.Clone(order)
				slices.Sort(want)
				slices.Reverse(want)
				if !slices.Equal(got, want[:3]) {
					t.Errorf("%v came, want %v", got, want[:3])
				}
			})
		})
	}
}
