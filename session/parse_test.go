package session_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

const whole = `sessions:
- name: web
  vni: 662316
  source: 10.0.1.163
  interface_id: eni-0a1b2c3d4e5f60718
  account_id: 011122223333
  region: eu-central-1
  az_id: euc1-az1
  vpc_id: vpc-1
  vpc_cidrs: [10.0.0.0/16, "fd00::/56"]
  subnet_cidrs: [10.0.1.9/24]
  subnet_id: subnet-1
  instance_id: i-1
  mac: 0a:11:22:33:44:55
  addresses: [10.0.1.163, "fd00::a3"]
  session_id: tms-1
  target_id: tmt-1
  packet_length: 8500
  from: 2026-01-15T10:00:00Z
  until: 2026-01-15T11:00:00.5Z
  ecs:
    cluster: prod
    cluster_arn: arn:aws:ecs:eu-central-1:111122223333:cluster/prod
    service: web
    task_arn: arn:aws:ecs:eu-central-1:111122223333:task/prod/1
    task_definition_arn: arn:aws:ecs:eu-central-1:111122223333:task-definition/web:7
    container_instance_arn: arn:aws:ecs:eu-central-1:111122223333:container-instance/1
    container_ids: [1-265927825, 1-2]
  labels: {team: shop}
`

func TestParseWhole(t *testing.T) {
	got, err := session.Parse("sessions.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)
	want := []session.Entry{{
		Name:      "web",
		VNI:       662316,
		Source:    addr("10.0.1.163"),
		MAC:       [6]byte{0x0a, 0x11, 0x22, 0x33, 0x44, 0x55},
		Addresses: []packet.Addr{addr("10.0.1.163"), addr("fd00::a3")},
		From:      from.UnixNano(),
		Until:     from.Add(time.Hour + 500*time.Millisecond).UnixNano(),
		Workload: packet.Workload{
			InterfaceID: "eni-0a1b2c3d4e5f60718", AccountID: "011122223333", Region: "eu-central-1", AZID: "euc1-az1",
			VPCID: "vpc-1", SubnetID: "subnet-1", InstanceID: "i-1",
			SessionID: "tms-1", TargetID: "tmt-1",
			VPCCIDRs:     []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("fd00::/56")},
			SubnetCIDRs:  []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")},
			PacketLength: 8500,
			Cluster:      "prod", ClusterARN: "arn:aws:ecs:eu-central-1:111122223333:cluster/prod", Service: "web",
			TaskARN:           "arn:aws:ecs:eu-central-1:111122223333:task/prod/1",
			TaskDefinitionARN: "arn:aws:ecs:eu-central-1:111122223333:task-definition/web:7",
			ContainerInstARN:  "arn:aws:ecs:eu-central-1:111122223333:container-instance/1",
			ContainerIDs:      []string{"1-265927825", "1-2"},
			Labels:            map[string]string{"team": "shop"},
		},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// A field that is added to the types and forgotten in the reader is zero.
	for _, v := range []reflect.Value{reflect.ValueOf(got[0]), reflect.ValueOf(got[0].Workload)} {
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Learned" && name != "Announced" {
				t.Errorf("%s is not read", name)
			}
		}
	}
}

func TestParseNames(t *testing.T) {
	tests := []struct {
		name, entry, want string
	}{
		{"given", "{vni: 7, name: seven, session_id: tms-1}", "seven"},
		{"session", "{vni: 7, session_id: tms-1, source: 10.0.0.1}", "tms-1"},
		{"vni", "{vni: 7}", "vni-7"},
		{"least vni", "{vni: 0}", "vni-0"},
		{"largest vni", "{vni: 16777215}", "vni-16777215"},
		{"hexadecimal vni", "{vni: 0xffffff}", "vni-16777215"},
		{"source", "{vni: 7, source: 10.0.0.1}", "vni-7-10.0.0.1"},
		{"IPv6 source", "{vni: 7, source: 'fd00::1'}", "vni-7-fd00::1"},
		{"mapped source", "{vni: 7, source: '::ffff:10.0.0.1'}", "vni-7-10.0.0.1"},
		{"own default", "{vni: 7, name: vni-7}", "vni-7"},
		{"not quite an unknown one", "{vni: 7, name: vni-7a}", "vni-7a"},
		{"nor this", "{vni: 7, name: vni-}", "vni-"},
		{"longest", "{vni: 7, name: " + strings.Repeat("n", 128) + "}", strings.Repeat("n", 128)},
		{"any alphabet", "{vni: 7, name: häfen/1 %}", "häfen/1 %"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := session.Parse("f", []byte("sessions: ["+tt.entry+"]"))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Name != tt.want {
				t.Errorf("got %+v, want one entry %q", got, tt.want)
			}
		})
	}
}

func TestParseNone(t *testing.T) {
	got, err := session.Parse("f", []byte("# none yet\nsessions: []\n"))
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v, want no entries", got, err)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name, file, want string
	}{
		{"empty", "", "f:1:1: no key sessions; write sessions: [] for none"},
		{"cut before the list", "# sessions\n", "f:1:1: no key sessions"},
		{"null list", "sessions:\n", "f:1:10: sessions: has no value"},
		{"unknown key", "sessions:\n- {vni: 1, vmi: 2}", "f:2:12: sessions[0].vmi: unknown key"},
		{"syntax", "sessions:\n- {vni: 1", "f:"},
		{"vni missing", "sessions:\n- {vni: 1}\n- {name: a}", "f:3:3: sessions[1]: vni is missing"},
		{"vni too large", "sessions:\n- vni: 16777216", "f:2:8: sessions[0].vni: must be 0 to 16777215, not 16777216"},
		{"vni negative", "sessions:\n- vni: -1", "f:2:8: sessions[0].vni: must be a whole number"},
		{"source malformed", "sessions:\n- {vni: 1, source: 10.0.0}", "f:2:20: sessions[0].source: must be an address"},
		{"source unspecified", "sessions:\n- {vni: 1, source: 0.0.0.0}", "f:2:20: sessions[0].source: must be an interface's address, not 0.0.0.0"},
		{"source multicast", "sessions:\n- {vni: 1, source: 'ff02::1'}", "f:2:20: sessions[0].source: must be an interface's address"},
		{"source zone", "sessions:\n- {vni: 1, source: 'fe80::1%eth0'}", `f:2:20: sessions[0].source: must be an address without a zone; remove "%eth0"`},
		{"addresses", "sessions:\n- {vni: 1, addresses: [10.0.0.1, '::']}", "f:2:34: sessions[0].addresses[1]: must be an interface's address, not ::"},
		{"mac malformed", "sessions:\n- {vni: 1, mac: 0a:11:22:33:44}", "f:2:17: sessions[0].mac: must be an interface's MAC address"},
		{"mac of 8 bytes", "sessions:\n- {vni: 1, mac: 02-00-5e-10-00-00-00-01}", "f:2:17: sessions[0].mac: must be"},
		{"mac zero", "sessions:\n- {vni: 1, mac: 00:00:00:00:00:00}", "f:2:17: sessions[0].mac: must be"},
		{"mac of a group", "sessions:\n- {vni: 1, mac: 33:33:00:00:00:01}", "f:2:17: sessions[0].mac: must be"},
		{"vpc_cidrs", "sessions:\n- {vni: 1, vpc_cidrs: [10.0.0.0]}", "f:2:24: sessions[0].vpc_cidrs[0]: must be a prefix"},
		{"packet length", "sessions:\n- {vni: 1, packet_length: 8501}", "f:2:27: sessions[0].packet_length: must be 0 (whole packets) to 8500 bytes, not 8501"},
		{"packet length negative", "sessions:\n- {vni: 1, packet_length: -1}", "f:2:27: sessions[0].packet_length: must be 0"},
		{"until not later", "sessions:\n- {vni: 1, from: 2026-01-01T00:00:00Z, until: 2026-01-01T01:00:00+01:00}", "f:2:47: sessions[0].until: must be later than from"},
		{"from too early", "sessions:\n- {vni: 1, from: 1970-01-01T00:00:00Z}", "f:2:18: sessions[0].from: must be a time between"},
		{"until too late", "sessions:\n- {vni: 1, until: 2262-01-01T00:00:00Z}", "f:2:19: sessions[0].until: must be a time between"},
		{"equal names", "sessions:\n- {vni: 1, name: a}\n- {vni: 2, name: a}", `f:3:18: sessions[1].name: "a" is the name of sessions[0] in line 2 too`},
		{"equal session ids", "sessions:\n- {vni: 1, session_id: a}\n- {vni: 2, session_id: a}", `f:3:24: sessions[1].session_id: "a" is the name of sessions[0]`},
		{"name equal to a default", "sessions:\n- {vni: 1, source: 10.0.0.1}\n- {vni: 2, name: vni-1-10.0.0.1}", `f:3:18: sessions[1].name: "vni-1-10.0.0.1" is the name of`},
		{"default equal to a name", "sessions:\n- {vni: 2, name: vni-1-10.0.0.1}\n- {vni: 1, source: 10.0.0.1}", `f:3:3: sessions[1]: "vni-1-10.0.0.1" is the name of`},
		{"equal vni", "sessions:\n- {vni: 1, name: a}\n- {vni: 1, name: b}", "f:3:9: sessions[1].vni: sessions[0] in line 2 has the same vni and source"},
		{"equal vni and source", "sessions:\n- {vni: 1, source: 10.0.0.1}\n- {vni: 1, source: '::ffff:10.0.0.1', name: b}", "f:3:9: sessions[1].vni: sessions[0] in line 2 has the same vni and source"},
		{"name of another vni", "sessions:\n- {vni: 1, name: vni-2}", `f:2:18: sessions[0].name: "vni-2" is what an unknown VNI is named`},
		{"name of another vni, explained", "sessions:\n- {vni: 1, name: vni-2}\n- {vni: 2, name: vni-1}", `"vni-1" is what an unknown VNI is named`},
		{"name of the own vni, other sources", "sessions:\n- {vni: 1, source: 10.0.0.1, name: vni-1}", `f:2:36: sessions[0].name: "vni-1" is what an unknown VNI is named`},
		{"session id like an unknown vni", "sessions:\n- {vni: 1, session_id: vni-9}", `f:2:24: sessions[0].session_id: "vni-9" is what`},
		{"leading zeros", "sessions:\n- {vni: 7, name: vni-07}", `"vni-07" is what an unknown VNI is named`},
		{"name too long", "sessions:\n- {vni: 7, name: " + strings.Repeat("n", 129) + "}", "f:2:18: sessions[0].name: a name has at most 128 bytes, not 129"},
		{"name with a line break", "sessions:\n- {vni: 7, name: \"a\\nb\"}", `f:2:18: sessions[0].name: a name has printable characters only, unlike "a\nb"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			entries, err := session.Parse("f", []byte(tt.file))
			if err == nil || entries != nil {
				t.Fatalf("got %v, %v, want an error alone", entries, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestParseSeveralErrors(t *testing.T) {
	var file strings.Builder
	file.WriteString("sessions:\n")
	for i := range 20 {
		fmt.Fprintf(&file, "- {vni: 1, name: n%d}\n", i)
	}
	_, err := session.Parse("f", []byte(file.String()))
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 11 || !strings.HasPrefix(lines[0], "f:3:9: ") || !strings.Contains(lines[10], "9 more") {
		t.Errorf("want the first ten of 19 errors and how many follow, got\n%v", err)
	}
}

// overlap reports whether there is a time of both.
func overlap(a, b *session.Entry) bool {
	return (a.Until == 0 || b.From < a.Until) && (b.Until == 0 || a.From < b.Until)
}

// Entries have the same VNI and source, and the same name, one after the other.
func TestParseTenures(t *testing.T) {
	const (
		ten, eleven, noon = "2026-01-15T10:00:00Z", "2026-01-15T11:00:00Z", "2026-01-15T12:00:00Z"
		later             = "2026-01-15T11:00:00.000000001Z"
	)
	entry := func(from, until string) string {
		e := "- {vni: 1, name: a"
		if from != "" {
			e += ", from: " + from
		}
		if until != "" {
			e += ", until: " + until
		}
		return e + "}\n"
	}
	tests := []struct {
		name, file, want string // want is the beginning of the only error
	}{
		{"one when the other ends", entry(ten, eleven) + entry(eleven, noon), ""},
		{"in any order", entry(eleven, noon) + entry(ten, eleven), ""},
		{"a gap", entry("", ten) + entry(eleven, ""), ""},
		{"no begin and no end", entry("", ten) + entry(ten, eleven) + entry(eleven, ""), ""},
		{"a nanosecond of both", entry(ten, later) + entry(eleven, noon), "f:3:9: sessions[1].vni: sessions[0] in line 2 has the same vni and source at the same time; let one end (until)"},
		{"the earlier one later in the file", entry(eleven, noon) + entry(ten, later), "f:3:9: sessions[1].vni: sessions[0] in line 2 has"},
		{"no end", entry(ten, "") + entry(noon, ""), "f:3:9: sessions[1].vni: sessions[0] in line 2 has"},
		{"within a long one, behind a short one", entry(ten, noon) + entry("", ten) + entry(eleven, later), "f:4:9: sessions[2].vni: sessions[0] in line 2 has"},
		{"the same, and at all times", entry("", "") + entry("", ""), "f:3:9: sessions[1].vni: sessions[0] in line 2 has the same vni and source; remove one of the two"},
		{"another source", entry(ten, "") + "- {vni: 1, source: 10.0.0.1, name: b}\n", ""},
		{"a name of another vni, later", entry("", ten) + "- {vni: 2, name: a, from: " + ten + "}\n", ""},
		{"a name of another vni, at the same time", entry("", later) + "- {vni: 2, name: a, from: " + eleven + "}\n", `f:3:18: sessions[1].name: "a" is the name of sessions[0] in line 2 too at the same time; let one end`},
		{"a session id at the same time", "- {vni: 1, session_id: a}\n- {vni: 2, session_id: a, from: " + ten + "}\n", `f:3:24: sessions[1].session_id: "a" is the name of sessions[0] in line 2 too at the same time`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			entries, err := session.Parse("f", []byte("sessions:\n"+tt.file))
			if tt.want == "" {
				if err != nil || len(entries) != strings.Count(tt.file, "\n") {
					t.Errorf("%v, %v", entries, err)
				}
			} else if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// What is within the time of a long tenure clashes with it, whatever lies between.
func TestParseClashes(t *testing.T) {
	_, err := session.Parse("f", []byte(`sessions:
- {vni: 1, name: a, from: 2026-01-15T10:00:00Z}
- {vni: 1, name: b, from: 2026-01-15T11:00:00Z, until: 2026-01-15T12:00:00Z}
- {vni: 1, name: c, from: 2026-01-15T12:00:00Z}
`))
	if err == nil || strings.Count(err.Error(), "sessions[0] in line 2 has the same vni") != 2 {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("sessions: []"))
	f.Add([]byte("sessions: [{vni: 0}, {vni: 0, source: 10.0.0.1}, {vni: 0, source: 'fd00::1'}]"))
	f.Add([]byte("sessions:\n- {vni: 0xffffff, name: a}\n- {vni: 1, name: vni-1}\n- {vni: 1, session_id: a b}"))
	f.Add([]byte("sessions:\n- {vni: 1, until: 2026-01-01T00:00:00Z}\n- {vni: 1, from: 2026-01-01T00:00:00Z}\n- {vni: 1, from: 2025-01-01T00:00:00Z}"))
	f.Add([]byte("sessions: [&a {vni: 1, mac: 0a11.2233.4455}, *a]"))
	f.Add([]byte("sessions: [{vni: 1, source: '::1%x', from: 0000-01-01T00:00:00Z, until: 9999-12-31T23:59:59Z}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := session.Parse("f", data)
		if (err == nil) != (entries != nil) {
			t.Fatalf("entries %v, error %v", entries, err)
		}
		table := newTable(t, session.Config{})
		table.Replace(entries)
		for i := range entries {
			e := &entries[i]
			at := max(e.From, e.Until-1) // the last moment, or the first
			s, reason := table.Lookup(&packet.Frame{VNI: e.VNI, Source: e.Source, Time: at})
			if reason != packet.None || s.Name != e.Name || s.VNI != e.VNI || s.Source != e.Source {
				t.Errorf("entry %+v: found %+v, %v", e, s, reason)
			}
			if e.Name == "" || e.VNI > session.MaxVNI {
				t.Errorf("entry %+v accepted", e)
			}
			for j := range min(i, 50) {
				o := &entries[j]
				if (o.Name == e.Name || o.VNI == e.VNI && o.Source == e.Source) && overlap(e, o) {
					t.Errorf("entries %+v and %+v accepted", e, o)
				}
			}
		}
		// No other VNI can be given a name that is taken.
		for _, e := range entries {
			var vni uint32
			if n, _ := fmt.Sscanf(e.Name, "vni-%d", &vni); n == 1 && e.Name == fmt.Sprintf("vni-%d", vni) &&
				(vni != e.VNI || !e.Source.IsZero()) {
				t.Errorf("entry %+v has the name of an unknown session", e)
			}
		}
		if s := table.Sessions(); len(s) != len(entries) {
			t.Errorf("%d sessions of %d entries", len(s), len(entries))
		}
	})
}
