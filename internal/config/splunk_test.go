package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/config"
)

// splunkFile is a file with a splunk sink of the given keys beside what is
// required; a key that is required replaces the one here.
func splunkFile(keys string) string {
	for _, required := range []string{"endpoints: [https://a]", "token_file: t"} {
		if name, _, _ := strings.Cut(required, ":"); !strings.Contains(keys, name+":") {
			keys += "\n    " + required
		}
	}
	return "sinks:\n  splunk:\n    " + keys
}

func TestSplunkErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"no endpoint", "endpoints: []", "16: sinks.splunk.endpoints: must be 1 to 16 URLs such as https://hec.example.com:8088, not 0"},
		{"17 endpoints", "endpoints: [https://" + strings.Join(strings.Split("abcdefghijklmnopq", ""), ", https://") + "]",
			"16: sinks.splunk.endpoints: must be 1 to 16 URLs such as https://hec.example.com:8088, not 17"},
		{"a host", "endpoints: [hec.example.com]", "17: sinks.splunk.endpoints[0]: must be https://host:port and nothing else: no user, path or query"},
		{"a host and port", "endpoints: ['hec:8088']", "17: sinks.splunk.endpoints[0]: must be https://host:port and nothing else: no user, path or query"},
		{"no host", "endpoints: ['https://:8088']", "17: sinks.splunk.endpoints[0]: must be https://host:port and nothing else: no user, path or query"},
		{"a path", "endpoints: [https://a/services/collector]", "17: sinks.splunk.endpoints[0]: must be https://host:port and nothing else: no user, path or query"},
		{"a secret", "endpoints: ['https://x:secret@a']", "17: sinks.splunk.endpoints[0]: must be https://host:port and nothing else: no user, path or query"},
		{"a secret in a query", "endpoints: ['https://a?token=secret']", "17: sinks.splunk.endpoints[0]: must be https://host:port and nothing else: no user, path or query"},
		{"a control character", `endpoints: ["https://a\x01"]`, "17: sinks.splunk.endpoints[0]: must be https://host:port and nothing else: no user, path or query"},
		{"in the clear", "endpoints: ['http://hec:8088']", "17: sinks.splunk.endpoints[0]: the token would travel to hec:8088 in the clear; write https, or allow it with sinks.splunk.insecure"},
		{"twice", "endpoints: [https://a, https://b, {url: 'https://a/'}]", "39: sinks.splunk.endpoints[2]: is already in sinks.splunk.endpoints[0]; remove one of the two, or give it a weight"},
		{"weight -1", "endpoints: [{url: https://a, weight: -1}]", "42: sinks.splunk.endpoints[0].weight: must be 0 to 100, not -1"},
		{"weight 101", "endpoints: [{url: https://a, weight: 101}]", "42: sinks.splunk.endpoints[0].weight: must be 0 to 100, not 101"},
		{"another key", "endpoints: [{uri: https://a}]", "18: sinks.splunk.endpoints[0].uri: unknown key; known here: url, weight"},
		{"endpoint without value", "endpoints: [~]", "17: sinks.splunk.endpoints[0]: has no value; give one or remove the key"},
		{"endpoint is a list", "endpoints: [[https://a]]", "17: sinks.splunk.endpoints[0]: must be text, not a list"},
		{"no token file", "token_file: ''", "17: sinks.splunk.token_file: empty; name the file that holds the token, one a line"},

		{"index in capitals", "index: Main", `12: sinks.splunk.index: must be the name of an index, of lower-case letters, digits, "_" and "-", the first a letter or digit, not "Main"`},
		{"index of Splunk's own", "indexes: {flow: _internal}", `21: sinks.splunk.indexes.flow: must be the name of an index, of lower-case letters, digits, "_" and "-", the first a letter or digit, not "_internal"`},
		{"index with a hyphen first", "indexes: {vpcflow: -a}", `24: sinks.splunk.indexes.vpcflow: must be the name of an index, of lower-case letters, digits, "_" and "-", the first a letter or digit, not "-a"`},
		{"index that is a path", "indexes: {ledger: ../a}", `23: sinks.splunk.indexes.ledger: must be the name of an index, of lower-case letters, digits, "_" and "-", the first a letter or digit, not "../a"`},
		{"index that Splunk forbids", "indexes: {frame: my-kvstore}", `22: sinks.splunk.indexes.frame: must be the name of an index, of lower-case letters, digits, "_" and "-", the first a letter or digit, not "my-kvstore"`},
		{"index too long", "index: " + strings.Repeat("a", 129), `12: sinks.splunk.index: must be the name of an index, of lower-case letters, digits, "_" and "-", the first a letter or digit, not "` + strings.Repeat("a", 60) + `"`},
		{"ack", "ack: always", `10: sinks.splunk.ack: must be auto, off or require, not "always"`},
		{"unknown record", "records: [flow, dns]", `21: sinks.splunk.records[1]: must be flow, vpcflow or ledger, not "dns"`},
		{"record twice", "records: [flow, ledger, flow]", `29: sinks.splunk.records[2]: "flow" is already in sinks.splunk.records[0]; remove one of the two`},
		{"nothing to send", "records: []", "14: sinks.splunk.records: empty, and sinks.splunk.frames.mode is off, so that nothing would be sent; name flow, vpcflow or ledger"},
		{"vpcflow_version 3", "vpcflow_version: 3", "22: sinks.splunk.vpcflow_version: must be 2 or 5, not 3"},

		{"frames, mode", "frames: {mode: on}", `20: sinks.splunk.frames.mode: must be off, sampled or all, not "on"`},
		{"frames, sample 0", "frames: {sample: 0}", "22: sinks.splunk.frames.sample: must be 1 to 1000000000, not 0"},
		{"frames, payload 257B", "frames: {payload: 257B}", "23: sinks.splunk.frames.payload: must be 0B to 256B, not 257B"},
		{"frames, protocol", "frames: {match: {protocol: TCP}}", `32: sinks.splunk.frames.match.protocol: must be tcp, udp, icmp or icmpv6, not "TCP"`},
		{"frames, port -1", "frames: {match: {port: -1}}", "28: sinks.splunk.frames.match.port: must be 0 to 65535, not -1"},
		{"frames, port 65536", "frames: {match: {port: 65536}}", "28: sinks.splunk.frames.match.port: must be 0 to 65535, not 65536"},
		{"frames, port of icmp", "frames: {match: {protocol: icmpv6, port: 1}}", "46: sinks.splunk.frames.match.port: icmpv6 has no ports; remove it, or match tcp or udp"},
		{"frames, address", "frames: {match: {address: web}}", `31: sinks.splunk.frames.match.address: must be a prefix or an address such as 10.0.0.0/8 or fd00::1, not "web"`},
		{"frames, address with a zone", "frames: {match: {address: 'fe80::1%lo'}}", `31: sinks.splunk.frames.match.address: must be a prefix or an address such as 10.0.0.0/8 or fd00::1, not "fe80::1%lo"`},
		{"frames, host bits", "frames: {match: {address: 10.0.0.1/8}}", "31: sinks.splunk.frames.match.address: 10.0.0.1/8 has bits set beyond its length; write 10.0.0.0/8"},
		{"frames, mapped", "frames: {match: {address: '::ffff:10.0.0.1'}}", "31: sinks.splunk.frames.match.address: ::ffff:10.0.0.1 never matches, IPv4 is compared as IPv4; write the IPv4 prefix or address"},

		{"spool, no directory", "spool: {dir: ''}", "18: sinks.splunk.spool.dir: empty; name a directory for what is not delivered yet"},
		{"spool, size", "spool: {size: 63MiB}", "19: sinks.splunk.spool.size: must be 64MiB to 64TiB, not 63MiB"},
		{"spool, age", "spool: {age: 999ms}", "18: sinks.splunk.spool.age: must be 1s or more, or 0 for none, not 999ms"},
		{"spool, free 100%", "spool: {free: 100%}", `19: sinks.splunk.spool.free: must be a percentage from 0% to 99%, not "100%"`},
		{"budget of a flow", "budget: {flow: 1023B}", "20: sinks.splunk.budget.flow: must be 1KiB or more, or 0 for none, not 1023B"},
		{"budget of a type that is not", "budget: {dns: 1GB}", "14: sinks.splunk.budget.dns: unknown key; known here: flow, frame, ledger, vpcflow"},
		{"budget_top", "budget_top: 10001", "17: sinks.splunk.budget_top: must be 0 to 10000, not 10001"},
		{"certificate alone", "cert_file: c", "16: sinks.splunk.cert_file: has no sinks.splunk.key_file; name the file of its key"},
		{"key alone", "key_file: k", "15: sinks.splunk.key_file: has no sinks.splunk.cert_file; name the file of its certificate"},
		{"collector of two lines", `collector: "a\nb"`, "16: sinks.splunk.collector: must be a name of up to 128 bytes on one line"},
		{"buffer", "buffer: 1023KiB", "13: sinks.splunk.buffer: must be 1MiB to 16GiB, not 1023KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse("f", []byte(splunkFile(tt.in)))
			if c != nil || err == nil || err.Error() != "f:3:"+tt.want {
				t.Errorf("Parse = %v, error\n%v\nwant\nf:3:%s", c, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

// TestSplunkRequires shows what a splunk sink without keys is told.
func TestSplunkRequires(t *testing.T) {
	want := "f:1:17: sinks.splunk.endpoints: must be 1 to 16 URLs such as https://hec.example.com:8088, not 0\n" +
		"f:1:17: sinks.splunk.token_file: empty; name the file that holds the token, one a line"
	if _, err := config.Parse("f", []byte("sinks: {splunk: {}}")); err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

// TestSpoolApart: the spool shares no directory with another sink.
func TestSpoolApart(t *testing.T) {
	for spool, want := range map[string]string{
		"a":       "f:3:20: sinks.splunk.spool.dir: a is also sinks.pcap.dir; name another directory",
		"a/spool": "f:3:20: sinks.splunk.spool.dir: a/spool is inside sinks.pcap.dir a; name a directory outside it",
		"b/..":    "", // the working directory has both
		"b":       "f:3:20: sinks.splunk.spool.dir: b has sinks.flowlog.dir b/flows inside it; name a directory beside that",
		"b/spool": "-",
	} {
		_, err := config.Parse("f", []byte("sinks:\n  splunk: {endpoints: [https://a], token_file: t,\n    spool: {dir:   "+spool+"},\n"+
			"  }\n  pcap: {dir: a}\n  flowlog: {dir: b/flows}\n"))
		switch {
		case want == "-" && err != nil, want != "-" && err == nil, len(want) > 1 && err.Error() != want:
			t.Errorf("%s: error\n%v\nwant\n%s", spool, err, want)
		case want == "" && strings.Count(err.Error(), "inside it") != 2:
			t.Errorf("%s: error\n%v\nwant one for each sink", spool, err)
		}
	}
}

func TestSplunkAccepts(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"endpoint without a port", "endpoints: [https://hec.example.com]"},
		{"endpoint with a slash behind", "endpoints: ['https://hec.example.com:8088/']"},
		{"http to loopback", "endpoints: ['http://127.1.2.3:8088', 'http://[::1]:8088', 'http://localhost:8088']"},
		{"http, allowed", "endpoints: ['http://hec:8088']\n    insecure: true"},
		{"weights", "endpoints: [{url: https://a, weight: 100}, {url: https://b}, https://c]"},
		{"index of 128", "index: " + strings.Repeat("a", 128)},
		{"frames alone", "records: []\n    frames: {mode: all}"},
		{"version 5", "vpcflow_version: 5"},
		{"match an address", "frames: {match: {address: 'fd00::1', port: 65535, protocol: udp}}"},
		{"no bounds", "spool: {age: none, free: none}\n    budget: {flow: none}\n    budget_top: 0"},
		{"client certificate", "cert_file: c\n    key_file: k"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := config.Parse("f", []byte(splunkFile(tt.in))); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEndpoints: a text is the URL alone, and the effective configuration
// repeats both forms.
func TestEndpoints(t *testing.T) {
	c, err := config.Parse("f", []byte(splunkFile("endpoints: [https://a, {url: https://b, weight: 2}]")))
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Endpoint{{URL: "https://a"}, {URL: "https://b", Weight: 2}}
	if !reflect.DeepEqual(c.Sinks.Splunk.Endpoints, want) {
		t.Errorf("%+v, want %+v", c.Sinks.Splunk.Endpoints, want)
	}
	effective, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.Parse("f", effective)
	if err != nil || !reflect.DeepEqual(again, c) {
		t.Errorf("%v, %+v\nread back from\n%s", err, again, effective)
	}
}

// TestTokens: a systemd credential goes before the file, as long as there is one.
func TestTokens(t *testing.T) {
	dir := t.TempDir()
	s := config.Splunk{TokenFile: "/etc/periscope/hec.token"}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if got := s.Tokens(); got != s.TokenFile {
		t.Errorf("without credentials: %s", got)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if got := s.Tokens(); got != s.TokenFile {
		t.Errorf("without this credential: %s", got)
	}
	credential := filepath.Join(dir, "hec.token")
	if err := os.WriteFile(credential, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if got := s.Tokens(); got != credential {
		t.Errorf("with a credential: %s", got)
	}
}
