package announce

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

var mac = [6]byte{0x0a, 0x62, 0x17, 0x7a, 0x36, 0x68}

// task returns what a sidecar of a task says.
func task() session.Entry {
	return session.Entry{
		Name: "web-e9028f8d", VNI: 4711, MAC: mac, Addresses: []packet.Addr{packet.AddrFrom4([4]byte{10, 0, 0, 108})},
		From: 1_700_000_000_000_000_001,
		Workload: packet.Workload{
			AccountID: "111122223333", Region: "us-west-2", SubnetCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
			Cluster: "default", ClusterARN: "arn:aws:ecs:us-west-2:111122223333:cluster/default", Service: "web",
			TaskARN:           "arn:aws:ecs:us-west-2:111122223333:task/default/e9028f8d5d8e4f258373e7b93ce9a3c3",
			TaskDefinitionARN: "arn:aws:ecs:us-west-2:111122223333:task-definition/web:3",
			ContainerIDs:      []string{"e9028f8d5d8e4f258373e7b93ce9a3c3-2495160603"},
			Labels:            map[string]string{"team": "a"},
		},
	}
}

func frameOf(t testing.TB, e session.Entry) []byte {
	t.Helper()
	frame, err := Append(nil, mac, &e)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func TestAnnouncementIsReadAsItWasWritten(t *testing.T) {
	ended := task()
	ended.Until = ended.From + 1e9
	short := session.Entry{Name: "a", VNI: 0, MAC: mac}
	for _, e := range []session.Entry{task(), ended, short} {
		frame := frameOf(t, e)
		if !bytes.HasPrefix(frame, []byte("\x03PSCPE\x0a\x62\x17\x7a\x36\x68\x88\xb5PSCP\x01{")) {
			t.Errorf("%q", frame[:24])
		}
		if got, err := Parse(frame); err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%+v, want %+v: %v", got, e, err)
		}
	}
	if got, err := Append([]byte("before"), mac, &short); err != nil || string(got) != "before"+string(frameOf(t, short)) {
		t.Errorf("%q: %v", got, err)
	}
}

// What only the collector or AWS can know is neither written nor read.
func TestSenderSpeaksOfItselfAlone(t *testing.T) {
	e := task()
	e.MAC = [6]byte{2, 2, 2, 2, 2, 2}
	e.Source, e.Learned = packet.AddrFrom4([4]byte{10, 0, 0, 1}), true
	e.Workload.SessionID, e.Workload.TargetID = "tms-1", "tmt-1"
	for _, word := range []string{"10.0.0.1\"", "tms-1", "tmt-1", "02:02"} {
		if bytes.Contains(frameOf(t, e), []byte(word)) {
			t.Errorf("%s is written", word)
		}
	}
	said := append(frameOf(t, session.Entry{Name: "a", VNI: 1})[:headerLen],
		`{"name":"web","vni":1,"source":"10.0.0.1","mac":"02:02:02:02:02:02","session_id":"tms-1","target_id":"tmt-1","learned":true,"announced":true,"more":1}`...)
	want := session.Entry{Name: "web", VNI: 1, MAC: mac}
	if got, err := Parse(said); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v: %v", got, err)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	for _, n := range []int{0, 16, 17} {
		e := session.Entry{Name: "a", VNI: 1, MAC: mac, Workload: packet.Workload{Labels: make(map[string]string)}}
		for i := range n {
			e.Workload.Labels[fmt.Sprintf("key-%02d", i)] = "v"
		}
		got, err := Parse(frameOf(t, e))
		if err != nil || len(got.Workload.Labels) != min(n, 16) || n > 0 && got.Workload.Labels["key-00"] != "v" || len(e.Workload.Labels) != n {
			t.Errorf("%d labels: %v, %v", n, got.Workload.Labels, err)
		}
	}
	text := `{"vni":1,"labels":{`
	for i := range 17 {
		text += fmt.Sprintf(`"%d":"",`, i)
	}
	if got, err := Parse(append(frameOf(t, task())[:headerLen:headerLen], text[:len(text)-1]+"}}"...)); err != nil || len(got.Workload.Labels) != 16 {
		t.Errorf("%v, %v", got.Workload.Labels, err)
	}
}

// What does not fit goes in turn: containers, labels, networks and addresses.
func TestLongAnnouncements(t *testing.T) {
	room := MaxLength - len(frameOf(t, task()))
	long := func(n int) []string { return []string{strings.Repeat("c", n)} }
	for _, tt := range []struct {
		name                         string
		more                         func(e *session.Entry)
		containers, labels, networks bool
	}{
		{"fits", func(e *session.Entry) { e.Name += strings.Repeat("n", room) }, true, true, true},
		{"a byte too many", func(e *session.Entry) { e.Name += strings.Repeat("n", room+1) }, false, true, true},
		{"containers", func(e *session.Entry) { e.Workload.ContainerIDs = long(MaxLength) }, false, true, true},
		{"labels", func(e *session.Entry) { e.Workload.Labels["long"] = strings.Repeat("l", MaxLength) }, false, false, true},
		{"addresses", func(e *session.Entry) {
			for i := range byte(200) {
				e.Addresses = append(e.Addresses, packet.AddrFrom4([4]byte{10, 0, 0, i}))
			}
		}, false, false, false},
	} {
		e := task()
		tt.more(&e)
		frame := frameOf(t, e)
		got, err := Parse(frame)
		if err != nil || len(frame) > MaxLength || (got.Workload.ContainerIDs != nil) != tt.containers ||
			(got.Workload.Labels != nil) != tt.labels || (got.Addresses != nil) != tt.networks || got.Workload.TaskARN != e.Workload.TaskARN {
			t.Errorf("%s: %d bytes, %+v, %v", tt.name, len(frame), got, err)
		}
		if tt.name == "fits" && len(frame) != MaxLength {
			t.Errorf("%d bytes", len(frame))
		}
	}
	e := task()
	e.Name = strings.Repeat("n", MaxLength)
	if got, err := Append([]byte("x"), mac, &e); err == nil || string(got) != "x" {
		t.Errorf("%q: %v", got, err)
	}
}

func TestAnnouncementThatCannotBe(t *testing.T) {
	for _, bad := range [][6]byte{{}, {1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		e := task()
		if got, err := Append(nil, bad, &e); err == nil || got != nil {
			t.Errorf("%x: %q", bad, got)
		}
	}
	good := frameOf(t, task())
	for name, change := range map[string]func(b []byte) []byte{
		"nothing":         func(b []byte) []byte { return nil },
		"a header alone":  func(b []byte) []byte { return b[:14] },
		"cut in magic":    func(b []byte) []byte { return b[:18] },
		"no JSON":         func(b []byte) []byte { return b[:19] },
		"cut JSON":        func(b []byte) []byte { return b[:len(b)-1] },
		"more behind it":  func(b []byte) []byte { return append(b, '{') },
		"too long":        func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), MaxLength-len(b)+1)...) },
		"EtherType":       func(b []byte) []byte { b[13]++; return b },
		"magic":           func(b []byte) []byte { b[14]++; return b },
		"version 2":       func(b []byte) []byte { b[18]++; return b },
		"from a group":    func(b []byte) []byte { b[6] |= 1; return b },
		"from nobody":     func(b []byte) []byte { clear(b[6:12]); return b },
		"no VNI":          func(b []byte) []byte { return append(b[:19], `{"name":"a"}`...) },
		"VNI of 25 bits":  func(b []byte) []byte { return append(b[:19], `{"vni":16777216}`...) },
		"a list":          func(b []byte) []byte { return append(b[:19], `[]`...) },
		"address a group": func(b []byte) []byte { return append(b[:19], `{"vni":1,"addresses":["224.0.0.1"]}`...) },
		"ends too early": func(b []byte) []byte {
			return append(b[:19], `{"vni":1,"from":"2026-01-01T00:00:01Z","until":"2026-01-01T00:00:00Z"}`...)
		},
	} {
		if e, err := Parse(change(bytes.Clone(good))); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	if _, err := Parse(append(bytes.Clone(good), bytes.Repeat([]byte(" "), MaxLength-len(good))...)); err != nil {
		t.Error("of all the bytes it may have:", err)
	}
}

// An end that is not later than the beginning, as clocks are set, is an end.
func TestEndIsLaterThanTheBeginning(t *testing.T) {
	e := task()
	e.Until = e.From - 5
	if got, err := Parse(frameOf(t, e)); err != nil || got.Until != e.From+1 {
		t.Errorf("%+v: %v", got, err)
	}
}

// Any bytes give an entry or an error. What an entry was made of can be announced
// again, and is the same then.
func FuzzParse(f *testing.F) {
	good := frameOf(f, task())
	f.Add(good)
	f.Add(good[:headerLen])
	f.Add(append(good[:headerLen:headerLen], `{"vni":1,"labels":{"a":"\ud800"},"from":"2026-01-01T00:00:00Z"}`...))
	f.Fuzz(func(t *testing.T, frame []byte) {
		e, err := Parse(frame)
		if err != nil {
			if !reflect.DeepEqual(e, session.Entry{}) {
				t.Errorf("%+v with an error", e)
			}
			return
		}
		if !e.Source.IsZero() || e.Learned || e.Workload.SessionID != "" || e.Workload.TargetID != "" || len(e.Workload.Labels) > 16 || e.MAC == [6]byte{} {
			t.Errorf("says of another: %+v", e)
		}
		again, err := Append(nil, e.MAC, &e)
		if err != nil {
			return // what is escaped takes more room
		}
		second, err := Parse(again)
		if err != nil || second.Name != e.Name || second.VNI != e.VNI || second.Workload.TaskARN != e.Workload.TaskARN {
			t.Errorf("%+v, then %+v: %v", e, second, err)
		}
	})
}
