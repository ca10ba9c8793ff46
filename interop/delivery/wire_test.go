package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/interop/faultproxy"
	"github.com/periscope-collector/periscope/interop/receiver"
	"github.com/periscope-collector/periscope/interop/sample"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

func TestMain(m *testing.M) { leak.Check(m) }

const (
	token = "00000000-0000-4000-8000-000000000001"
	name  = "hec.test"
)

// A wire is a sink that sends through a proxy to a receiver.
type wire struct {
	*splunk.Sink
	proxy  *faultproxy.Proxy
	server *receiver.Server
	sent   int // flows
}

// config is what sends flows to the name, in whatever directory.
func config(t *testing.T, url string, dial func(ctx context.Context, network, address string) (net.Conn, error)) splunk.Config {
	t.Helper()
	return splunk.Config{
		Dir: filepath.Join(t.TempDir(), "spool"), Size: 64 << 20,
		Flow: true, Host: "collector-1", Collector: "fra", Indexes: splunk.Indexes{Flow: "net"},
		HEC: hec.Config{
			Endpoints: []hec.Endpoint{{URL: url}}, TokenFile: write(t, token+"\n"), Insecure: true, Version: "test", Dial: dial,
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// start starts a proxy to the server and a sink that sends to it.
func start(t *testing.T, server *receiver.Server, https bool) *wire {
	t.Helper()
	w := &wire{proxy: faultproxy.New(server.Addr), server: server}
	pipe := faultproxy.NewPipe()
	c := config(t, "http://"+name+":8088", pipe.Dial)
	if https {
		authority, err := w.proxy.ServeTLS(pipe, name, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		c.HEC.Endpoints[0].URL, c.HEC.CA, c.HEC.Insecure = "https://"+name+":8088", write(t, string(authority)), false
	} else {
		w.proxy.Serve(pipe)
	}
	w.open(t, c)
	return w
}

func (w *wire) open(t *testing.T, c splunk.Config) {
	t.Helper()
	var err error
	if w.Sink, err = splunk.Open(c); err != nil {
		t.Fatal(err)
	}
}

// give gives the sink that many flows more.
func (w *wire) give(flows int) {
	for range flows {
		r := sample.Flow(session, w.sent)
		w.Flow(0, &r)
		w.sent++
	}
	w.Mark(0, 0, time.Now().UnixNano())
}

// finish waits until everything is stored, for at most an hour of the test's
// time, ends the sink and the proxy, and looks at what arrived.
func (w *wire) finish(t *testing.T) {
	t.Helper()
	for range 3600 {
		if w.Ledger().Stored >= uint64(w.sent) {
			break
		}
		time.Sleep(time.Second)
	}
	w.proxy.Always(faultproxy.Pass)
	if err := w.Close(context.Background()); err != nil {
		t.Error(err)
	}
	w.proxy.Close()
	if l := w.Ledger(); l.Imbalance() != 0 || l.Offered != uint64(w.sent) || l.Stored != l.Offered {
		t.Errorf("account %+v, want %d offered and stored", l, w.sent)
	}
	whole(t, w.server.Events(), w.sent, w.proxy.Unanswered())
}

var session = sample.Session()

// whole fails unless each of that many flows is among the events as it was meant,
// and twice only with the same event_uid and if the sender had to take it for
// lost: if it is in one of the bodies.
func whole(t *testing.T, events []receiver.Event, flows int, unanswered [][]byte) {
	t.Helper()
	lost := uidsOf(t, unanswered)
	meant := record.NewEvents(record.EventConfig{Host: "collector-1", Collector: "fra", FlowIndex: "net"})
	uids := make(map[int]string)
	seen := make(map[string]int)
	twice := 0
	for _, e := range events {
		i, uid := number(t, e), e.UID()
		r := sample.Flow(session, i)
		want, err := receiver.Parse(meant.AppendFlow(nil, &r, []byte(uid)))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(e, want) {
			t.Fatalf("flow %d:\n%+v\nwant\n%+v", i, e, want)
		}
		before, again := uids[i]
		switch {
		case uid == "" || seen[uid] > 0 && !again:
			t.Fatalf("event_uid %q of flow %d is of another too", uid, i)
		case again && before != uid:
			t.Fatalf("flow %d has event_uid %q and %q", i, before, uid)
		case again:
			twice++
			if lost[uid] < seen[uid] {
				t.Fatalf("flow %d came %d times, and was answered for", i, seen[uid]+1)
			}
		}
		uids[i] = uid
		seen[uid]++
	}
	if len(uids) != flows {
		t.Errorf("%d flows arrived of %d", len(uids), flows)
	}
	if (twice > 0) != (len(lost) > 0) {
		t.Errorf("%d events came again, of %d that the sender took for lost", twice, len(lost))
	}
	t.Logf("%d events, %d of them again", len(events), twice)
}

// number returns which flow an event is of.
func number(t *testing.T, e receiver.Event) int {
	t.Helper()
	keys, _ := e.Event.(map[string]any)
	text, _ := keys["dest_ip"].(string)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatalf("%v: %+v", err, e)
	}
	return sample.Number(addr)
}

// uidsOf returns how often each event_uid is in the bodies.
func uidsOf(t *testing.T, bodies [][]byte) map[string]int {
	t.Helper()
	times := make(map[string]int)
	for _, b := range bodies {
		for d := json.NewDecoder(bytes.NewReader(b)); d.More(); {
			var event json.RawMessage
			if err := d.Decode(&event); err != nil {
				t.Fatal(err)
			}
			e, err := receiver.Parse(event)
			if err != nil {
				t.Fatal(err)
			}
			times[e.UID()]++
		}
	}
	return times
}

// write returns a file of the test with that text.
func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A table is a name server for one name.
type table struct {
	to atomic.Pointer[faultproxy.Pipe]
}

// Dial connects to whom the name is of now.
func (n *table) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.to.Load().Dial(ctx, network, address)
}
