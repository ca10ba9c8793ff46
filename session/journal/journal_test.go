package journal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

var start = time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)

// whole returns an entry that says everything there is to say.
func whole() session.Entry {
	prefix := netip.MustParsePrefix("10.0.0.0/16")
	return session.Entry{
		Name: "web-01234567", VNI: 7, Source: packet.AddrFrom4([4]byte{10, 0, 0, 7}), MAC: [6]byte{2, 1},
		Addresses: []packet.Addr{packet.AddrFrom4([4]byte{10, 0, 0, 7}), {0: 0xfd, 15: 7}},
		From:      start.UnixNano() + 1, Until: start.Add(time.Hour).UnixNano(), Learned: true,
		Workload: packet.Workload{
			InterfaceID: "eni-7", AccountID: "011122223333", Region: "eu-central-1", AZID: "euc1-az1",
			VPCID: "vpc-1", SubnetID: "subnet-1", InstanceID: "i-1", SessionID: "tms-7", TargetID: "tmt-1",
			VPCCIDRs: []netip.Prefix{prefix}, SubnetCIDRs: []netip.Prefix{prefix}, PacketLength: 100,
			Cluster: "prod", ClusterARN: "arn:cluster", Service: "web", TaskARN: "arn:task",
			TaskDefinitionARN: "arn:definition", ContainerInstARN: "arn:instance",
			ContainerIDs: []string{"a", "b"}, Labels: map[string]string{"team": "<shop> & \"häfen\"\n"},
		},
	}
}

// tenure returns the nth tenure, which lasts from second n until second until, or
// on if that is 0.
func tenure(n, until int) session.Entry {
	e := session.Entry{
		Name: fmt.Sprint("task-", n), VNI: 7, Source: packet.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), Learned: true,
		From:     start.Add(time.Duration(n) * time.Second).UnixNano(),
		Workload: packet.Workload{InterfaceID: fmt.Sprint("eni-", n), SessionID: "tms-1"},
	}
	if until != 0 {
		e.Until = start.Add(time.Duration(until) * time.Second).UnixNano()
	}
	return e
}

// A kept is a journal, and what it logged.
type kept struct {
	*testing.T
	*journal.Journal
	path string
	log  strings.Builder
}

func open(t *testing.T, path string, size int64) *kept {
	t.Helper()
	k := &kept{T: t, path: path}
	log := slog.New(slog.NewTextHandler(&k.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "file" {
			return slog.Attr{}
		}
		return a
	}}))
	var err error
	k.Journal, err = journal.Open(path, journal.Config{Size: size, Log: log, Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Journal.Close() })
	return k
}

func fresh(t *testing.T) *kept { return open(t, filepath.Join(t.TempDir(), "sessions.journal"), 0) }

// again closes the journal and opens it.
func (k *kept) again() *kept {
	k.Helper()
	k.Journal.Close()
	return open(k.T, k.path, 0)
}

func (k *kept) append(entries ...session.Entry) {
	k.Helper()
	if err := k.Append(entries); err != nil {
		k.Fatal(err)
	}
}

func (k *kept) text() string {
	k.Helper()
	b, err := os.ReadFile(k.path)
	if err != nil {
		k.Fatal(err)
	}
	return string(b)
}

// holds checks what the journal says, and what is loaded from its file.
func (k *kept) holds(what string, want ...session.Entry) {
	k.Helper()
	got, err := k.Entries()
	if err != nil || !reflect.DeepEqual(got, want) {
		k.Errorf("%s: %v\ngot  %+v\nwant %+v", what, err, got, want)
	}
	if got, _, err := journal.Load(k.path); err != nil || !reflect.DeepEqual(got, want) {
		k.Errorf("%s, loaded: %v\ngot  %+v\nwant %+v", what, err, got, want)
	}
}

// Of an identity each announced tenure is one, also those of one interface; more
// about one replaces what was known of it.
func TestReopenAnnounced(t *testing.T) {
	k := fresh(t)
	said := func(mac byte, from, until int64) session.Entry {
		e := tenure(1, 0)
		e.MAC, e.From, e.Announced = [6]byte{mac}, from*1e9, true
		e.Until = until * 1e9
		e.Workload.InterfaceID, e.Workload.SessionID = "", ""
		return e
	}
	listed := tenure(1, 0)
	k.append(listed, said(2, 10, 0), said(4, 20, 0), said(2, 10, 20), said(2, 30, 0))
	k = k.again()
	k.holds("opened again", listed, said(4, 20, 0), said(2, 10, 20), said(2, 30, 0))
}

func TestReopen(t *testing.T) {
	k := fresh(t)
	k.holds("none")
	e := whole()
	for _, v := range []reflect.Value{reflect.ValueOf(e), reflect.ValueOf(e.Workload)} {
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Announced" {
				t.Errorf("the example has no %s", name)
			}
		}
	}
	k.append(e, tenure(1, 0))
	k.holds("written", e, tenure(1, 0))
	k.append(tenure(2, 5))
	k = k.again()
	k.holds("opened again", e, tenure(1, 0), tenure(2, 5))
	if k.log.Len() != 0 {
		t.Errorf("logged %s", &k.log)
	}
	if info, err := os.Stat(k.path); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A statement has the keys of the session file: what it says can be copied there.
func TestKeysOfTheSessionFile(t *testing.T) {
	k := fresh(t)
	e := whole()
	k.append(e)
	lines := strings.Split(k.text(), "\n")
	if len(lines) != 3 || lines[0] != `{"periscope":"session journal","version":1}` {
		t.Fatalf("%q", lines)
	}
	var line struct {
		Learnt  time.Time
		Session json.RawMessage
	}
	if err := json.Unmarshal([]byte(lines[1]), &line); err != nil || !line.Learnt.Equal(start) {
		t.Fatal(line.Learnt, err)
	}
	got, err := session.Parse("f", []byte("sessions: ["+string(line.Session)+"]"))
	e.Learned = false
	if err != nil || !reflect.DeepEqual(got, []session.Entry{e}) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, e)
	}
}

// What was said last of a tenure counts, in the order of the last statements.
func TestLastStatementCounts(t *testing.T) {
	k := fresh(t)
	k.append(tenure(1, 0), tenure(2, 0), tenure(1, 9))
	k.holds("within one call", tenure(2, 0), tenure(1, 9))
	k.append(tenure(2, 5))
	k.append(tenure(3, 0))
	k.append(tenure(1, 0)) // it did not end after all
	k.holds("afterwards", tenure(2, 5), tenure(3, 0), tenure(1, 0))
	k = k.again()
	k.holds("opened again", tenure(2, 5), tenure(3, 0), tenure(1, 0))
}

// Each part of a tenure tells it from others; nothing else does.
func TestTenures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*session.Entry)
		same   bool
	}{
		{"vni", func(e *session.Entry) { e.VNI = 8 }, false},
		{"source", func(e *session.Entry) { e.Source[15]++ }, false},
		{"interface", func(e *session.Entry) { e.Workload.InterfaceID = "eni-8" }, false},
		{"session", func(e *session.Entry) { e.Workload.SessionID = "tms-8" }, false},
		{"interface and session, put together alike", func(e *session.Entry) {
			e.Workload.InterfaceID, e.Workload.SessionID = "eni-7t", "ms-7"
		}, false},
		{"name", func(e *session.Entry) { e.Name = "b" }, true},
		{"from", func(e *session.Entry) { e.From++ }, true},
		{"mac", func(e *session.Entry) { e.MAC[5]++ }, true},
		{"service", func(e *session.Entry) { e.Workload.Service = "b" }, true},
	} {
		k := fresh(t)
		changed := whole()
		tt.change(&changed)
		k.append(whole(), changed)
		if tt.same {
			k.holds(tt.name, changed)
		} else {
			k.holds(tt.name, whole(), changed)
		}
	}
}

func TestNothingNewIsNotWritten(t *testing.T) {
	k := fresh(t)
	k.append(whole(), tenure(1, 0))
	before := k.text()
	k.append(tenure(1, 0), whole())
	k.append()
	k = k.again()
	k.append(tenure(1, 0), whole())
	if k.text() != before {
		t.Errorf("written:\n%s", strings.TrimPrefix(k.text(), before))
	}
	k.append(tenure(1, 2))
	k.append(tenure(1, 0)) // what was said before the last is news
	k.holds("and back", whole(), tenure(1, 0))
}

func TestCurrent(t *testing.T) {
	k := fresh(t)
	k.append(tenure(1, 10), tenure(2, 0), tenure(3, 11))
	for second, want := range map[int][]session.Entry{
		9:  {tenure(1, 10), tenure(2, 0), tenure(3, 11)},
		10: {tenure(2, 0), tenure(3, 11)},
		11: {tenure(2, 0)},
	} {
		got, err := k.Current(start.Add(time.Duration(second) * time.Second))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("at %d s: %v, %v, want %v", second, got, err, want)
		}
	}
}

// What no line can hold is left out and named; the others are written.
func TestAppendUnfit(t *testing.T) {
	k := fresh(t)
	long, vni := tenure(1, 0), tenure(2, 0)
	long.Workload.Service = strings.Repeat("s", 256<<10)
	vni.VNI = session.MaxVNI + 1
	err := k.Append([]session.Entry{long, tenure(3, 0), vni})
	if unfit, ok := errors.AsType[*journal.UnfitError](err); !ok || unfit.Entries != 2 {
		t.Errorf("%+v", unfit)
	}
	if err == nil || !strings.Contains(err.Error(), `sessions.journal: 2 entries left out, first "task-1": longer than 262144 bytes`) {
		t.Error(err)
	}
	k.holds("the rest", tenure(3, 0))
	// The longest that fits. Each line is as long as the others of one digit.
	k.append(tenure(4, 0))
	lines := strings.SplitAfter(k.text(), "\n")
	longest := tenure(5, 0)
	longest.Workload.Service = strings.Repeat("s", 256<<10-len(lines[2])-len(`,"ecs":{"service":""}`))
	k.append(longest)
	k = k.again()
	k.holds("the longest", tenure(3, 0), tenure(4, 0), longest)
	longest.Workload.Service += "s"
	if err := k.Append([]session.Entry{longest}); err == nil {
		t.Error("one byte more is taken")
	}
}

func TestClosed(t *testing.T) {
	k := fresh(t)
	if err := k.Journal.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := k.Entries()
	if err == nil || k.Append([]session.Entry{whole()}) == nil || k.Journal.Close() != nil {
		t.Error("a closed journal can be used, or not be closed again")
	}
}

func TestConcurrently(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "j"), 8<<10) // compacted again and again
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := range 20 {
				if err := k.Append([]session.Entry{tenure(100*w+n, 0), tenure(100*w+n, 100*w+n+1)}); err != nil {
					t.Error(err)
				}
				if _, err := k.Current(start); err != nil {
					t.Error(err)
				}
				k.Stats()
			}
		})
	}
	wg.Wait()
	if got, err := k.Entries(); err != nil || len(got) != k.Stats().Tenures || len(got) == 0 {
		t.Errorf("%d entries, %v, %+v", len(got), err, k.Stats())
	}
}

// A disk that hangs holds up who appends, and nobody who asks for the figures. What
// was being written is there when it goes on.
func TestDiskHangs(t *testing.T) {
	var disk sync.Mutex
	path := filepath.Join(t.TempDir(), "j")
	j, err := journal.Open(path, journal.Config{Sync: func(f *os.File) error {
		disk.Lock()
		defer disk.Unlock()
		return f.Sync()
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	before := j.Stats()
	disk.Lock()
	done := make(chan error, 1)
	go func() { done <- j.Append([]session.Entry{tenure(1, 0)}) }()
	for written := int64(0); written <= before.Bytes; { // then the disk is all that is left
		if info, err := os.Stat(path); err == nil {
			written = info.Size()
		}
	}
	if got := j.Stats(); got != before {
		t.Errorf("%+v while the disk hangs, %+v before", got, before)
	}
	disk.Unlock()
	if err := <-done; err != nil || j.Stats().Tenures != 1 {
		t.Errorf("%v, %+v", err, j.Stats())
	}
}

func TestIsJournal(t *testing.T) {
	k := fresh(t)
	for text, want := range map[string]bool{
		k.text():                     true,
		k.text()[:30]:                true,
		"":                           false,
		"sessions: []":               false,
		`{"sessions": [{"vni": 1}]}`: false,
	} {
		if journal.IsJournal([]byte(text)) != want {
			t.Errorf("%q: not %v", text, want)
		}
	}
}

// Who takes a journal for a session file is told.
func TestNotASessionFile(t *testing.T) {
	k := fresh(t)
	if _, err := session.Load(k.path); err == nil || !strings.Contains(err.Error(), "is a session journal; give it to replay --sessions") {
		t.Error(err)
	}
}

func names(entries []session.Entry) (n []string) {
	for i := range entries {
		n = append(n, entries[i].Name)
	}
	slices.Sort(n)
	return n
}
