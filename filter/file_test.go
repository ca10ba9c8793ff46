package filter_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/filter"
)

const ownFile = `
filters:
  - name: web
    description: HTTPS
    network_services: [amazon-dns]
    rules:
      - number: 20
        action: accept
        direction: ingress
        protocol: tcp
        source: 0.0.0.0/0
        destination: 10.0.0.0/16
        source_ports: 1024-65535
        destination_ports: 443
        description: clients
      - {number: 20, action: reject, direction: egress, protocol: 58, source: "::/0", destination: "::/0"}
  - name: empty
sessions:
  - {number: 32766, filter: empty}
  - {number: 1, filter: web}
`

// awsFile is as aws ec2 describe-traffic-mirror-filters prints it.
const awsFile = `{
    "TrafficMirrorFilters": [
        {
            "TrafficMirrorFilterId": "tmf-0a1b2c3d4e5f60718",
            "IngressFilterRules": [
                {
                    "TrafficMirrorFilterRuleId": "tmfr-0f0f0f0f0f0f0f0f1",
                    "TrafficMirrorFilterId": "tmf-0a1b2c3d4e5f60718",
                    "TrafficDirection": "ingress",
                    "RuleNumber": 20,
                    "RuleAction": "accept",
                    "Protocol": 6,
                    "DestinationPortRange": {
                        "FromPort": 443,
                        "ToPort": 443
                    },
                    "SourcePortRange": {
                        "FromPort": 1024,
                        "ToPort": 65535
                    },
                    "DestinationCidrBlock": "10.0.0.0/16",
                    "SourceCidrBlock": "0.0.0.0/0",
                    "Description": "clients",
                    "Tags": []
                }
            ],
            "EgressFilterRules": [
                {
                    "TrafficMirrorFilterRuleId": "tmfr-0f0f0f0f0f0f0f0f2",
                    "TrafficMirrorFilterId": "tmf-0a1b2c3d4e5f60718",
                    "TrafficDirection": "egress",
                    "RuleNumber": 20,
                    "RuleAction": "reject",
                    "DestinationCidrBlock": "::/0",
                    "SourceCidrBlock": "::/0"
                }
            ],
            "NetworkServices": [
                "amazon-dns"
            ],
            "Description": "HTTPS \u003e 10.0\/16",
            "Tags": [
                {
                    "Key": "Name",
                    "Value": "web"
                }
            ]
        },
        {
            "TrafficMirrorFilterId": "tmf-1",
            "IngressFilterRules": [],
            "EgressFilterRules": [],
            "NetworkServices": [],
            "Description": "nothing"
        }
    ]
}
`

func parse(t testing.TB, text string) *filter.File {
	t.Helper()
	f, err := filter.Parse("filters", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOwnFile(t *testing.T) {
	f := parse(t, ownFile)
	first := of(6, filter.Ports{From: 1024, To: 65535}, https, rule(20, accept, in, any4, "10.0.0.0/16"))
	first.Description = "clients"
	want := []filter.Filter{
		{Name: "web", Description: "HTTPS", AmazonDNS: true, Rules: []filter.Rule{first, of(58, all, all, rule(20, reject, out, any6, any6))}},
		{Name: "empty"},
	}
	if !reflect.DeepEqual(f.Filters, want) {
		t.Errorf("%+v\nwant %+v", f.Filters, want)
	}
	if s := f.Sessions; len(s) != 2 || s[0] != (filter.Session{Number: 1, Filter: f.Filter("web")}) || s[1] != (filter.Session{Number: 32766, Filter: f.Filter("empty")}) {
		t.Errorf("%+v", s)
	}
	if f.Filter("none") != nil {
		t.Error("there is a filter none")
	}
}

func TestAWSFile(t *testing.T) {
	f := parse(t, awsFile)
	first := of(6, filter.Ports{From: 1024, To: 65535}, https, rule(20, accept, in, any4, "10.0.0.0/16"))
	first.Description, first.ID = "clients", "tmfr-0f0f0f0f0f0f0f0f1"
	second := rule(20, reject, out, any6, any6)
	second.ID = "tmfr-0f0f0f0f0f0f0f0f2"
	want := []filter.Filter{
		{Name: "tmf-0a1b2c3d4e5f60718", Description: "web", AmazonDNS: true, Rules: []filter.Rule{first, second}},
		{Name: "tmf-1", Description: "nothing"},
	}
	if !reflect.DeepEqual(f.Filters, want) {
		t.Errorf("%+v\nwant %+v", f.Filters, want)
	}
}

// TestSimulated: without a list each filter is a session.
func TestSimulated(t *testing.T) {
	f := parse(t, awsFile)
	s, err := f.Simulated()
	if err != nil || len(s) != 2 || s[0] != (filter.Session{Number: 1, Filter: &f.Filters[0]}) || s[1] != (filter.Session{Number: 2, Filter: &f.Filters[1]}) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := parse(t, ownFile).Simulated(); err != nil || len(s) != 2 || s[0].Filter.Name != "web" {
		t.Errorf("%+v, %v", s, err)
	}
	for n, ok := range map[int]bool{0: false, 1: true, filter.MaxSessions: true, filter.MaxSessions + 1: false} {
		if _, err := (&filter.File{Filters: make([]filter.Filter, n)}).Simulated(); (err == nil) != ok {
			t.Errorf("%d filters: %v", n, err)
		}
	}
}

func TestFileErrors(t *testing.T) {
	own := func(rule string) string { return "filters:\n- name: web\n  rules:\n  - {" + rule + "}\n" }
	const good = "number: 1, action: accept, direction: ingress, source: 0.0.0.0/0, destination: 0.0.0.0/0"
	with := func(old, new string) string { return own(strings.Replace(good, old, new, 1)) }
	for _, c := range []struct{ text, want string }{
		{"", "f:1:1: no key filters; write filters: [] for none"},
		{"filter: []", `f:1:1: filter: unknown key; known here: filters, sessions`},
		{"filters: [{}]", "f:1:11: filters[0].name: is missing"},
		{"filters: [{name: a}, {name: a}]", `f:1:29: filters[1].name: "a" is the name of another filter above`},
		{"filters: [{name: \"a\\nb\"}]", "f:1:18: filters[0].name: a name has printable characters only"},
		{"filters: [{name: " + strings.Repeat("a", 129) + "}]", "f:1:18: filters[0].name: a name has at most 128 bytes, not 129"},
		{"filters: [{name: a, network_services: [dns]}]", `f:1:40: filters[0].network_services[0]: unknown network service "dns"`},
		{own(good) + "  - {" + good + "}\n", "f:5:14: filters[0].rules[1].number: 1 is the number of an ingress rule above too"},
		{with("number: 1, ", ""), "f:4:5: filters[0].rules[0].number: must be 1 to 2147483647, not 0"},
		{with("number: 1", "number: -1"), "f:4:14: filters[0].rules[0].number: must be 1 to"},
		{with("accept", "allow"), "f:4:25: filters[0].rules[0].action: must be accept or reject"},
		{with("action: accept, ", ""), "f:4:5: filters[0].rules[0].action: must be accept or reject"},
		{with("ingress", "in"), "f:4:44: filters[0].rules[0].direction: must be ingress or egress"},
		{with("direction: ingress, ", ""), "f:4:5: filters[0].rules[0].direction: must be ingress or egress"},
		{with("source: 0.0.0.0/0, ", ""), "f:4:5: filters[0].rules[0].source: must be a prefix"},
		{with("source: 0.0.0.0/0", "source: 10.0.0.1"), "f:4:61: filters[0].rules[0].source: must be a prefix"},
		{with("source: 0.0.0.0/0", `source: "::/0"`), "filters[0].rules[0].destination: 0.0.0.0/0 is of another family"},
		{own(good + ", protocol: 256"), "filters[0].rules[0].protocol: must be tcp, udp, icmp"},
		{own(good + ", protocol: -1"), "filters[0].rules[0].protocol: must be tcp, udp, icmp"},
		{own(good + ", protocol: TCP"), "filters[0].rules[0].protocol: must be tcp, udp, icmp"},
		{own(good + ", protocol: icmp, source_ports: 1"), "filters[0].rules[0].source_ports: only tcp and udp have ports"},
		{own(good + ", destination_ports: 65536"), "filters[0].rules[0].destination_ports: must be a port or ports such as 443 or 8000-8999"},
		{own(good + ", destination_ports: 1-2-3"), "filters[0].rules[0].destination_ports: must be a port or ports"},
		{own(good + ", destination_ports: 0"), "filters[0].rules[0].destination_ports: port 0 is nobody's"},
		{own(good + ", destination_ports: 2-1"), "filters[0].rules[0].destination_ports: begins at 2 and ends before"},
		{"filters: []\nsessions: [{number: 0, filter: a}]", "f:2:21: sessions[0].number: must be 1 to 32766, not 0"},
		{"filters: []\nsessions: [{number: 32767, filter: a}]", "f:2:21: sessions[0].number: must be 1 to 32766, not 32767"},
		{"filters: []\nsessions: [{number: 1, filter: a}]", `f:2:32: sessions[0].filter: no filter is named "a"`},
		{"filters: [{name: a}]\nsessions: [{number: 1, filter: a}, {number: 1, filter: a}]", "f:2:45: sessions[1].number: 1 is the number of sessions[0] too"},

		{strings.Replace(awsFile, `"RuleNumber": 20`, `"RuleNumber": 0`, 1), "f:10:35: TrafficMirrorFilters[0].IngressFilterRules[0].RuleNumber: must be 1 to"},
		{strings.Replace(awsFile, `"::/0"`, `"0.0.0.0/0"`, 1), "f:34:45: TrafficMirrorFilters[0].EgressFilterRules[0].DestinationCidrBlock: 0.0.0.0/0 is of another family"},
		{strings.Replace(awsFile, "RuleNumber", "Number", 1), "f:10:21: TrafficMirrorFilters[0].IngressFilterRules[0].Number: unknown key"},
		{strings.Replace(awsFile, `"tmf-1"`, `"tmf-0a1b2c3d4e5f60718"`, 1), "TrafficMirrorFilters[1].TrafficMirrorFilterId: \"tmf-0a1b2c3d4e5f60718\" is the name of another filter above"},
		{strings.Replace(awsFile, `"amazon-dns"`, `"amazon-ntp"`, 1), `TrafficMirrorFilters[0].NetworkServices[0]: unknown network service "amazon-ntp"`},
	} {
		file, err := filter.Parse("f", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || file != nil {
			t.Errorf("error %v, want %q in\n%s", err, c.want, c.text)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if f, err := filter.Load(path("good", ownFile)); err != nil || len(f.Filters) != 2 {
		t.Errorf("%+v, %v", f, err)
	}
	most := "filters: [] #" + strings.Repeat("-", filter.MaxFile-13)
	if _, err := filter.Load(path("most", most)); err != nil {
		t.Error(err)
	}
	for p, want := range map[string]string{
		path("bad", "filters: 1"):    "bad:1:10: filters: must be a list",
		path("more", most+"-"):       "more is larger than 8 MiB",
		dir:                          "is not a regular file",
		filepath.Join(dir, "absent"): "no such file",
	} {
		if _, err := filter.Load(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// FuzzParse: any bytes are a file whose filters compile, or an error.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", ownFile, awsFile, "filters: [{name: a, rules: [&r {number: 1}, *r]}]", "TrafficMirrorFilters: []"} {
		f.Add([]byte(seed))
	}
	frame := udp(both, "10.0.1.163:40000", "10.0.0.2:53")
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := filter.Parse("f", data)
		if (file == nil) == (err == nil) {
			t.Fatalf("%v and %v", file, err)
		}
		if err != nil {
			return
		}
		for i := range file.Filters {
			p, err := file.Filters[i].Compile()
			if err != nil {
				t.Fatal(err)
			}
			p.Match(frame)
			if file.Filter(file.Filters[i].Name) != &file.Filters[i] {
				t.Fatalf("filter %q is not found", file.Filters[i].Name)
			}
		}
		for _, s := range file.Sessions {
			if s.Filter == nil {
				t.Fatal("a session without a filter")
			}
		}
	})
}
