package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/config"
)

// TestParseErrors shows the message of every value that is refused.
func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"syntax", "capture: [", "f:2:1: not valid YAML: did not find expected node content while parsing a flow node"},
		{"unknown section", "captures: {}", "f:1:1: captures: unknown key; known here: admin, aws, capture, drain, filter, flows, health, keep, log, sessions, sinks, stop_timeout"},
		{"unknown key", "log: {lvl: info}", "f:1:7: log.lvl: unknown key; known here: format, level"},
		{"unknown sink", "sinks: {kafka: {}}", "f:1:9: sinks.kafka: unknown key; known here: flowlog, pcap, splunk"},
		{"flowlog without value", "sinks:\n  flowlog:\n", "f:2:11: sinks.flowlog: has no value; write {} for the defaults, or remove the key"},
		{"pcap without value", "sinks:\n  pcap:\n", "f:2:8: sinks.pcap: has no value; write {} for the defaults, or remove the key"},

		{"listen not a list", "capture: {listen: ':1'}", `f:1:19: capture.listen: must be a list such as [a, b], not ":1" in quotes`},
		{"listen port only", "capture: {listen: [4789]}", `f:1:20: capture.listen[0]: must be an address and port such as ":4789", "127.0.0.1:4789" or "[::1]:4789", not "4789"`},
		{"listen name", "capture: {geneve: ['localhost:6081']}", `f:1:20: capture.geneve[0]: must be an address and port such as ":4789", "127.0.0.1:4789" or "[::1]:4789", not "localhost:6081"`},
		{"listen port 65536", "capture: {listen: [':65536']}", `f:1:20: capture.listen[0]: must be an address and port such as ":4789", "127.0.0.1:4789" or "[::1]:4789", not ":65536"`},
		{"listen twice", "capture: {listen: [':1', '[::]:1']}", `f:1:26: capture.listen[1]: "[::]:1" is already in capture.listen[0]; remove one of the two`},
		{"listen and geneve", "capture: {listen: [':6081']}", `f:1:10: capture.geneve[0]: ":6081" is already in capture.listen[0]; remove one of the two`},
		{"listen nowhere", "capture: {listen: [], geneve: []}", `f:1:19: capture.listen: empty, and so is capture.geneve; name an address such as ":4789"`},
		{"backend", "capture: {backend: pcap}", `f:1:20: capture.backend: must be auto, udp, afpacket or xdp, not "pcap"`},
		{"afpacket on an address", "capture: {backend: afpacket, listen: [':4789', '10.0.0.5:4789']}", `f:1:48: capture.listen[1]: "10.0.0.5:4789" is a single address, and capture.backend afpacket takes a port whatever the address; write one such as ":4789", or use auto or udp`},
		{"xdp on any port", "capture: {backend: xdp, geneve: [':0']}", `f:1:34: capture.geneve[0]: ":0" is a single address, and capture.backend xdp takes a port whatever the address; write one such as ":4789", or use auto or udp`},
		{"ring too small", "capture: {ring: 1MiB}", "f:1:17: capture.ring: must be 2MiB to 1GiB, not 1MiB"},
		{"ring too large", "capture: {ring: 2GiB}", "f:1:17: capture.ring: must be 2MiB to 1GiB, not 2GiB"},
		{"workers -1", "capture: {workers: -1}", "f:1:20: capture.workers: must be 0 to 256, not -1"},
		{"workers 257", "capture: {workers: 257}", "f:1:20: capture.workers: must be 0 to 256, not 257"},
		{"workers a word", "capture: {workers: all}", `f:1:20: capture.workers: must be a whole number, not "all"`},
		{"allow empty", "capture: {allow: []}", `f:1:18: capture.allow: empty, so that nothing would be accepted; name prefixes, or "0.0.0.0/0" and "::/0" for every source`},
		{"allow an address", "capture: {allow: [10.0.0.1]}", `f:1:19: capture.allow[0]: must be a prefix such as 10.0.0.0/8 or fd00::/8, not "10.0.0.1"`},
		{"allow host bits", "capture: {allow: [10.0.0.1/8]}", "f:1:19: capture.allow[0]: 10.0.0.1/8 has bits set beyond its length; write 10.0.0.0/8"},
		{"allow mapped", "capture: {allow: ['::ffff:10.0.0.0/104']}", "f:1:19: capture.allow[0]: ::ffff:10.0.0.0/104 never matches, IPv4 sources are compared as IPv4; write the IPv4 prefix"},
		{"receive buffer small", "capture: {receive_buffer: 63KiB}", "f:1:27: capture.receive_buffer: must be 64KiB to 1GiB, not 63KiB"},
		{"receive buffer large", "capture: {receive_buffer: 2GiB}", "f:1:27: capture.receive_buffer: must be 64KiB to 1GiB, not 2GiB"},
		{"size without unit", "capture: {receive_buffer: 1048576}", "f:1:27: capture.receive_buffer: 1048576 has no unit; write it as in 256MiB, 1GB or 128B"},

		{"unknown policy", "sessions: {unknown: ignore}", `f:1:21: sessions.unknown: must be keep or drop, not "ignore"`},
		{"unknown max 0", "sessions: {unknown_max: 0}", "f:1:25: sessions.unknown_max: must be 1 to 65536, not 0"},
		{"unknown max 65537", "sessions: {unknown_max: 65537}", "f:1:25: sessions.unknown_max: must be 1 to 65536, not 65537"},

		{"aws without value", "aws:", "f:1:5: aws: has no value; write {} for the defaults, or remove the key"},
		{"role of a user", "aws: {accounts: [{role_arn: 'arn:aws:iam::111122223333:user/me'}]}", `f:1:29: aws.accounts[0].role_arn: must be the ARN of a role such as arn:aws:iam::111122223333:role/periscope, not "arn:aws:iam::111122223333:user/me"`},
		{"role of eleven digits", "aws: {accounts: [{role_arn: 'arn:aws:iam::11112222333:role/r'}]}", `f:1:29: aws.accounts[0].role_arn: must be the ARN of a role such as arn:aws:iam::111122223333:role/periscope, not "arn:aws:iam::11112222333:role/r"`},
		{"external ID alone", "aws: {accounts: [{external_id: x}]}", "f:1:32: aws.accounts[0].external_id: has no role_arn beside it; name the role it is for, or remove it"},
		{"availability zone", "aws: {accounts: [{regions: [eu-central-1a]}]}", `f:1:29: aws.accounts[0].regions[0]: must be the name of a region such as eu-central-1, not "eu-central-1a"`},
		{"region twice", "aws: {accounts: [{regions: [eu-west-1]}, {regions: [eu-west-2, eu-west-1]}]}", "f:1:64: aws.accounts[1].regions[1]: eu-west-1 is already in aws.accounts[0].regions[0]; remove one of the two"},
		{"account twice", "aws: {accounts: [{}, {regions: []}]}", "f:1:22: aws.accounts[1]: this account is already in aws.accounts[0]; remove one of the two"},
		{"target", "aws: {targets: [eni-0a1b2c3d]}", `f:1:17: aws.targets[0]: must be the ID of a mirror target such as tmt-0a1b2c3d4e5f60718, not "eni-0a1b2c3d"`},
		{"target twice", "aws: {targets: [tmt-0a1b2c3d, tmt-0a1b2c3d]}", `f:1:31: aws.targets[1]: tmt-0a1b2c3d is already in aws.targets[0]; remove one of the two`},
		{"poll 4s", "aws: {poll: 4s}", "f:1:13: aws.poll: must be 5s to 1h, not 4s"},
		{"poll 61m", "aws: {poll: 61m}", "f:1:13: aws.poll: must be 5s to 1h, not 1h1m"},
		{"changes elsewhere", "aws: {changes: 'https://bucket/x'}", `f:1:16: aws.changes: must be a directory, or s3://bucket/prefix, not "https://bucket/x"`},
		{"changes in no bucket", "aws: {changes: 's3:///x'}", `f:1:16: aws.changes: must be a directory, or s3://bucket/prefix, not "s3:///x"`},
		{"journal 1023KiB", "aws: {journal_size: 1023KiB}", "f:1:21: aws.journal_size: must be 1MiB to 4GiB, not 1023KiB"},
		{"journal 5GiB", "aws: {journal_size: 5GiB}", "f:1:21: aws.journal_size: must be 1MiB to 4GiB, not 5GiB"},

		{"filter without a name", "filter: {file: f, sessions: [{service: web}]}", "f:1:30: filter.sessions[0].filter: empty; name a filter of filter.file"},
		{"filter without a file", "filter: {sessions: [{filter: web}]}", `f:1:30: filter.sessions[0].filter: "web" is a filter of filter.file, which is empty; name the file`},
		{"filter of a sink without a file", "sinks: {pcap: {filter: web}}", `f:1:24: sinks.pcap.filter: "web" is a filter of filter.file, which is empty; name the file`},
		{"filter of another sink without a file", "sinks: {flowlog: {filter: web}}", `f:1:27: sinks.flowlog.filter: "web" is a filter of filter.file, which is empty; name the file`},
		{"filter, nothing after all sessions", "filter: {file: f, sessions: [{filter: a}, {vni: 1, filter: b}]}", "f:1:30: filter.sessions[0]: matches every session, so that those after it never count; name a session, service, cluster, label or vni, or write it last"},
		{"filter, cidr", "filter: {sessions: [{cidr: 10.0.0.0/8}]}", "f:1:22: filter.sessions[0].cidr: unknown key; known here: cluster, filter, label, service, session, vni"},
		{"keep without a word", "keep: [{service: web}]", `f:1:8: keep[0].keep: must be full, headers or none, not ""`},
		{"keep, word", "keep: [{service: web, keep: header}]", `f:1:29: keep[0].keep: must be full, headers or none, not "header"`},
		{"keep, nothing after all frames", "keep: [{keep: full}, {service: web, keep: none}]", "f:1:8: keep[0]: matches every frame, so that the rules after it never count; name a session, service, cluster, label, vni, cidr or port, or write it last"},
		{"keep, label", "keep: [{label: =shop, keep: none}]", `f:1:16: keep[0].label: must be key or key=value, not "=shop"`},
		{"keep, label without value", "keep: [{label: team=, keep: none}]", `f:1:16: keep[0].label: must be key or key=value, not "team="`},
		{"keep, empty service", "keep: [{service: '', keep: none}]", "f:1:18: keep[0].service: is empty, which would match everything; name one, or remove the key"},
		{"keep, empty cidr", "keep: [{cidr: '', keep: none}]", "f:1:15: keep[0].cidr: is empty, which would match everything; name one, or remove the key"},
		{"filter, empty session", "filter: {file: f, sessions: [{session: '', filter: a}]}", "f:1:40: filter.sessions[0].session: is empty, which would match everything; name one, or remove the key"},
		{"keep, VNI", "keep: [{vni: 16777216, keep: none}]", "f:1:14: keep[0].vni: must be 0 to 16777215, not 16777216"},
		{"keep, cidr", "keep: [{cidr: 10.0.0.1/8, keep: none}]", "f:1:15: keep[0].cidr: 10.0.0.1/8 has bits set beyond its length; write 10.0.0.0/8"},
		{"keep, cidr of a name", "keep: [{cidr: web, keep: none}]", `f:1:15: keep[0].cidr: must be a prefix or an address such as 10.0.0.0/8 or fd00::1, not "web"`},
		{"keep, mapped cidr", "keep: [{cidr: '::ffff:10.0.0.1', keep: none}]", "f:1:15: keep[0].cidr: ::ffff:10.0.0.1 never matches, IPv4 is compared as IPv4; write the IPv4 prefix or address"},
		{"keep, port 0", "keep: [{port: 0, keep: none}]", `f:1:15: keep[0].port: must be a port or ports such as 443 or 8000-8999, not "0"`},
		{"keep, port 65536", "keep: [{port: 65536, keep: none}]", `f:1:15: keep[0].port: must be a port or ports such as 443 or 8000-8999, not "65536"`},
		{"keep, ports backwards", "keep: [{port: 9-8, keep: none}]", `f:1:15: keep[0].port: must be a port or ports such as 443 or 8000-8999, not "9-8"`},
		{"keep, ports without end", "keep: [{port: 9-, keep: none}]", `f:1:15: keep[0].port: must be a port or ports such as 443 or 8000-8999, not "9-"`},
		{"keep, 65 rules", "keep: [" + strings.Repeat("{vni: 1, keep: full}, ", 65) + "]", "f:1:7: keep: has 65 rules, and 64 is the most; put services or labels together"},
		{"group", "sinks: {pcap: {group: task}}", `f:1:23: sinks.pcap.group: must be session, service or all, not "task"`},

		{"no directory", "sinks: {pcap: {dir: ''}}", "f:1:21: sinks.pcap.dir: empty; name a directory, or remove sinks.pcap to keep no captures"},
		{"rotate size", "sinks: {pcap: {rotate: {size: 1023B}}}", "f:1:31: sinks.pcap.rotate.size: must be 1KiB or more, or 0 for none, not 1023B"},
		{"rotate every", "sinks: {pcap: {rotate: {every: 999ms}}}", "f:1:32: sinks.pcap.rotate.every: must be 1s or more, or 0 for none, not 999ms"},
		{"rotate every without unit", "sinks: {pcap: {rotate: {every: 300}}}", "f:1:32: sinks.pcap.rotate.every: 300 has no unit; write it as in 30s, 5m or 72h"},
		{"rotate packets", "sinks: {pcap: {rotate: {packets: -1}}}", "f:1:34: sinks.pcap.rotate.packets: must be 1 or more, or 0 for none, not -1"},
		{"snap length", "sinks: {pcap: {snap_length: 262145B}}", "f:1:29: sinks.pcap.snap_length: must be 0B to 256KiB, not 262145B"},
		{"open files", "sinks: {pcap: {open_files: 0}}", "f:1:28: sinks.pcap.open_files: must be 1 to 65536, not 0"},
		{"buffer", "sinks: {pcap: {buffer: 1MiB}}", "f:1:24: sinks.pcap.buffer: must be 4MiB to 64GiB, not 1MiB"},
		{"sync", "sinks: {pcap: {sync: 99ms}}", "f:1:22: sinks.pcap.sync: must be 100ms or more, or 0 for none, not 99ms"},
		{"retain below a file", "sinks: {pcap: {retain: {size: 255MiB}}}", "f:1:31: sinks.pcap.retain.size: 255MiB is less than one file of sinks.pcap.rotate.size 256MiB; give at least that"},
		{"retain age in days", "sinks: {pcap: {retain: {age: 7d}}}", `f:1:30: sinks.pcap.retain.age: must be a duration such as 30s, 5m or 72h, not "7d"`},
		{"retain age", "sinks: {pcap: {retain: {age: 1ms}}}", "f:1:30: sinks.pcap.retain.age: must be 1s or more, or 0 for none, not 1ms"},
		{"retain free without sign", "sinks: {pcap: {retain: {free: 10}}}", "f:1:31: sinks.pcap.retain.free: 10 has no unit; write 10%"},
		{"retain free 100%", "sinks: {pcap: {retain: {free: 100%}}}", `f:1:31: sinks.pcap.retain.free: must be a percentage from 0% to 99%, not "100%"`},

		{"admin for everyone", "admin: {listen: ':9477'}", `f:1:17: admin.listen: ":9477" can be reached from outside, and admin.token_file is not set; listen on "127.0.0.1:9477", or set admin.token_file`},
		{"admin outside", "admin: {listen: '10.0.0.1:80'}", `f:1:17: admin.listen: "10.0.0.1:80" can be reached from outside, and admin.token_file is not set; listen on "127.0.0.1:80", or set admin.token_file`},
		{"admin off", "admin: {listen: off}", `f:1:17: admin.listen: must be an address and port such as ":4789", "127.0.0.1:4789" or "[::1]:4789", not "off"`},
		{"health", "health: {listen: 9478}", `f:1:18: health.listen: must be an address and port such as ":4789", "127.0.0.1:4789" or "[::1]:4789", not "9478"`},
		{"table 999", "flows: {table: 999}", "f:1:16: flows.table: must be 1000 to 16000000, not 999"},
		{"table 16000001", "flows: {table: 16000001}", "f:1:16: flows.table: must be 1000 to 16000000, not 16000001"},
		{"idle 9.999s", "flows: {idle: 9999ms}", "f:1:15: flows.idle: must be 10s to 1h, not 9.999s"},
		{"idle over an hour", "flows: {idle: 61m}", "f:1:15: flows.idle: must be 10s to 1h, not 1h1m"},
		{"duplicates", "flows: {duplicates: count}", `f:1:21: flows.duplicates: must be keep or drop, not "count"`},

		{"flowlog, no directory", "sinks: {flowlog: {dir: ''}}", "f:1:24: sinks.flowlog.dir: empty; name a directory, or remove sinks.flowlog to write no flow logs"},
		{"flowlog, directory of pcap", "sinks: {pcap: {dir: a/b}, flowlog: {dir: ./a//b/}}", "f:1:42: sinks.flowlog.dir: a/b is also sinks.pcap.dir; name another directory"},
		{"flowlog, below pcap's directory", "sinks: {pcap: {dir: a}, flowlog: {dir: a/flows}}", "f:1:40: sinks.flowlog.dir: a/flows is inside sinks.pcap.dir a; name a directory outside it"},
		{"flowlog, above pcap's directory", "sinks: {pcap: {dir: a/b/c}, flowlog: {dir: a}}", "f:1:44: sinks.flowlog.dir: a has sinks.pcap.dir a/b/c inside it; name a directory beside that"},
		{"flowlog, below a directory above", "sinks: {pcap: {dir: ..}, flowlog: {dir: flows}}", "f:1:41: sinks.flowlog.dir: flows is inside sinks.pcap.dir ..; name a directory outside it"},
		{"flowlog, the root", "sinks: {pcap: {dir: /a}, flowlog: {dir: /}}", "f:1:41: sinks.flowlog.dir: / has sinks.pcap.dir /a inside it; name a directory beside that"},
		{"no directory of pcap, flowlog in the working one", "sinks: {pcap: {dir: ''}, flowlog: {dir: .}}", "f:1:21: sinks.pcap.dir: empty; name a directory, or remove sinks.pcap to keep no captures"},
		{"flowlog, format", "sinks: {flowlog: {format: parquet}}", `f:1:27: sinks.flowlog.format: must be text or json, not "parquet"`},
		{"flowlog, fields with json", "sinks: {flowlog: {format: json, fields: '${version}'}}", "f:1:41: sinks.flowlog.fields: only for text, json has all of them; remove it, or write format: text"},
		{"flowlog, unknown field", "sinks: {flowlog: {fields: '${version} ${srcadr}'}}", `f:1:27: sinks.flowlog.fields: position 12: there is no field "srcadr"; the nearest is ${srcaddr}`},
		{"flowlog, field twice", "sinks: {flowlog: {fields: '${bytes} ${bytes}'}}", "f:1:27: sinks.flowlog.fields: position 10: ${bytes} is there already; remove one of the two"},
		{"flowlog, interval 9s", "sinks: {flowlog: {interval: 9s}}", "f:1:29: sinks.flowlog.interval: must be 10s to 10m, not 9s"},
		{"flowlog, interval 1500ms", "sinks: {flowlog: {interval: 1500ms}}", "f:1:29: sinks.flowlog.interval: must be 10s to 10m, not 1.5s"},
		{"flowlog, interval 601s", "sinks: {flowlog: {interval: 601s}}", "f:1:29: sinks.flowlog.interval: must be 10s to 10m, not 10m1s"},
		{"flowlog, interval 10.5s", "sinks: {flowlog: {interval: 10.5s}}", "f:1:29: sinks.flowlog.interval: 10.5s is not whole seconds, as flow logs count; write one such as 60s"},
		{"flowlog, layout", "sinks: {flowlog: {layout: daily}}", `f:1:27: sinks.flowlog.layout: must be plain, hourly, hive or hive-hourly, not "daily"`},
		{"flowlog, buffer 1023KiB", "sinks: {flowlog: {buffer: 1023KiB}}", "f:1:27: sinks.flowlog.buffer: must be 1MiB to 16GiB, not 1023KiB"},
		{"flowlog, buffer 17GiB", "sinks: {flowlog: {buffer: 17GiB}}", "f:1:27: sinks.flowlog.buffer: must be 1MiB to 16GiB, not 17GiB"},

		{"drain", "drain: 61m", "f:1:8: drain: must be 0s to 1h, not 1h1m"},
		{"drain negative", "drain: -1s", `f:1:8: drain: must be a duration such as 30s, 5m or 72h, not "-1s"`},
		{"stop timeout 0", "stop_timeout: 0", "f:1:15: stop_timeout: must be 1s to 1h, not 0s"},
		{"level", "log: {level: trace}", `f:1:14: log.level: must be debug, info, warn or error, not "trace"`},
		{"format", "log: {format: xml}", `f:1:15: log.format: must be text or json, not "xml"`},

		{"several, in the order of lines", "log: {level: x}\ndrain: 2h\ncapture: {workers: 999}",
			"f:1:14: log.level: must be debug, info, warn or error, not \"x\"\n" +
				"f:2:8: drain: must be 0s to 1h, not 2h\n" +
				"f:3:20: capture.workers: must be 0 to 256, not 999"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse("f", []byte(tt.in))
			if c != nil || err == nil {
				t.Fatalf("Parse = %v, %v; want an error", c, err)
			}
			if err.Error() != tt.want {
				t.Errorf("error\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"geneve alone", "capture: {listen: []}"},
		{"vxlan alone", "capture: {geneve: []}"},
		{"two ports of the kernel's choice", "capture: {listen: ['127.0.0.1:0', '127.0.0.1:0']}"},
		{"IPv6", "capture: {listen: ['[::1]:4789']}"},
		{"every source", "capture: {allow: [0.0.0.0/0, '::/0']}"},
		{"workers 256", "capture: {workers: 256}"},
		{"admin on another loopback address", "admin: {listen: '127.1.2.3:80'}"},
		{"admin on mapped loopback", "admin: {listen: '[::ffff:127.0.0.1]:80'}"},
		{"admin on IPv6 loopback", "admin: {listen: '[::1]:80'}"},
		{"admin for everyone, with a token", "admin: {listen: ':80', token_file: t}"},
		{"admin off", "admin: {listen: ''}"},
		{"sync off", "sinks: {pcap: {sync: off}}"},
		{"retain none", "sinks: {pcap: {retain: {size: none, age: none, free: none}}}"},
		{"retain exactly one file", "sinks: {pcap: {retain: {size: 256MiB}}}"},
		{"retain without rotation by size", "sinks: {pcap: {rotate: {size: 0}, retain: {size: 1MiB}}}"},
		{"64 rules", "keep: [" + strings.Repeat("{vni: 1, keep: full}, ", 64) + "]"},
		{"ports", "keep: [{port: 1, keep: full}, {port: 1-65535, keep: full}, {port: 7-7, keep: full}]"},
		{"an account in two regions, another in one of them", "aws: {accounts: [{regions: [eu-west-1, eu-west-2]}, {role_arn: 'arn:aws-cn:iam::111122223333:role/r', regions: [eu-west-1]}]}"},
		{"limits of flows", "flows: {table: 16000000, idle: 10s}"},
		{"limits of flowlog", "sinks: {flowlog: {interval: 10s, buffer: 16GiB, layout: hourly}}"},
		{"directories side by side", "sinks: {pcap: {dir: a/b}, flowlog: {dir: a/c}}"},
		{"directories with the same letters", "sinks: {pcap: {dir: a/flow}, flowlog: {dir: a/flows}}"},
		{"directories that begin with dots", "sinks: {pcap: {dir: a/..b}, flowlog: {dir: a/..bc}}"},
		{"fields over lines", "sinks:\n  flowlog:\n    fields: >-\n      ${srcaddr}\n      ${dstaddr}\n"},
		{"json without fields", "sinks: {flowlog: {format: json, fields: ''}}"},
		{"sections without keys", "capture:\nsessions:\nsinks:\nadmin:\nhealth:\nlog:\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse("f", []byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Validate(); err != nil {
				t.Errorf("Validate after Parse: %v", err)
			}
		})
	}
}

func TestAbsentSinkIsOff(t *testing.T) {
	empty, err := config.Parse("f", nil)
	if err != nil {
		t.Fatal(err)
	}
	if empty.Sinks != (config.Sinks{}) {
		t.Errorf("an empty file gives sinks %+v, want none", empty.Sinks)
	}
	on, err := config.Parse("f", []byte("sinks: {pcap: {}}"))
	if err != nil {
		t.Fatal(err)
	}
	if want := config.Default(); !reflect.DeepEqual(*on, want) {
		t.Errorf("a sink without keys gives %+v, want %+v", *on, want)
	}
}

func TestLoadResolvesPaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("conf", 0o750); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("conf", "p.yaml")
	text := "sessions: {file: ../s.yaml}\naws: {changes: c}\nfilter: {file: f.yaml}\nflows: {ip_ranges: r.json}\n" +
		"sinks:\n  pcap: {}\n  flowlog: {}\n" +
		"  splunk: {endpoints: [https://a], token_file: t, ca_file: a, cert_file: c, key_file: k}\n" +
		"admin: {token_file: /etc/token}\n"
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ key, got, want string }{
		{"sessions.file", c.Sessions.File, filepath.Join(dir, "s.yaml")},
		{"aws.journal", c.AWS.Journal, filepath.Join(dir, "conf", "sessions.journal")},
		{"aws.changes", c.AWS.Changes, filepath.Join(dir, "conf", "c")},
		{"filter.file", c.Filter.File, filepath.Join(dir, "conf", "f.yaml")},
		{"sinks.pcap.dir", c.Sinks.PCAP.Dir, filepath.Join(dir, "conf", "captures")},
		{"flows.ip_ranges", c.Flows.IPRanges, filepath.Join(dir, "conf", "r.json")},
		{"sinks.flowlog.dir", c.Sinks.FlowLog.Dir, filepath.Join(dir, "conf", "flows")},
		{"sinks.splunk.token_file", c.Sinks.Splunk.TokenFile, filepath.Join(dir, "conf", "t")},
		{"sinks.splunk.ca_file", c.Sinks.Splunk.CAFile, filepath.Join(dir, "conf", "a")},
		{"sinks.splunk.cert_file", c.Sinks.Splunk.CertFile, filepath.Join(dir, "conf", "c")},
		{"sinks.splunk.key_file", c.Sinks.Splunk.KeyFile, filepath.Join(dir, "conf", "k")},
		{"sinks.splunk.spool.dir", c.Sinks.Splunk.Spool.Dir, filepath.Join(dir, "conf", "spool")},
		{"admin.token_file", c.Admin.TokenFile, "/etc/token"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %s, want %s", tt.key, tt.got, tt.want)
		}
	}
}

// TestJournalBesideSinks: the journal is where the collector may write, unless it
// is said where.
func TestJournalBesideSinks(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p.yaml")
	const splunk = "splunk: {endpoints: [https://a], token_file: t, spool: {dir: /var/spool/p}}"
	for _, tt := range []struct{ text, want string }{
		{"aws: {}\nsinks: {pcap: {dir: /data/c}, flowlog: {dir: /flows/f}, " + splunk + "}", "/data/sessions.journal"},
		{"aws: {}\nsinks: {flowlog: {dir: /flows/f}, " + splunk + "}", "/flows/sessions.journal"},
		{"aws: {poll: 1m}\nsinks: {" + splunk + "}", "/var/spool/sessions.journal"},
		{"aws: {}\nsinks: {pcap: {dir: data/c}}", filepath.Join(dir, "data", "sessions.journal")},
		{"aws: {}\nsinks: {}", filepath.Join(dir, "sessions.journal")},
		{"aws: {journal: sessions.journal}\nsinks: {pcap: {dir: /data/c}}", filepath.Join(dir, "sessions.journal")},
		{"aws: {journal: ''}\nsinks: {pcap: {dir: /data/c}}", ""},
	} {
		if err := os.WriteFile(path, []byte(tt.text), 0o640); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.AWS.Journal != tt.want {
			t.Errorf("%s: %s, want %s", tt.text, c.AWS.Journal, tt.want)
		}
	}
}

// TestLoadSameDirectory: an absolute and a relative path may be one directory.
func TestLoadSameDirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p.yaml")
	text := "sinks: {pcap: {dir: " + dir + "/out}, flowlog: {dir: out}}"
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	want := "sinks.flowlog.dir: " + dir + "/out is also sinks.pcap.dir; name another directory"
	if _, err := config.Load(path); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.yaml")
	if _, err := config.Load(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing file: %v, want an error that names it", err)
	}
	if _, err := config.Load(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v, want an error that names it", err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", 1<<19)), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(large); err != nil {
		t.Errorf("a file of 1MiB: %v", err)
	}
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", 1<<19)+"#"), 0o640); err != nil {
		t.Fatal(err)
	}
	want := large + ": larger than 1MiB; name a configuration file"
	if _, err := config.Load(large); err == nil || err.Error() != want {
		t.Errorf("a file of 1MiB and a byte: %v, want %s", err, want)
	}
}

// TestValidateOverride is what a command does with its flags.
func TestValidateOverride(t *testing.T) {
	c := config.Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	c.Capture.Backend = "pcap"
	c.Capture.Workers = 1000
	c.Capture.Allow = append(c.Capture.Allow, netip.Prefix{})
	want := "capture.backend: must be auto, udp, afpacket or xdp, not \"pcap\"\n" +
		"capture.workers: must be 0 to 256, not 1000\n" +
		"capture.allow[7]: not a prefix; write one such as 10.0.0.0/8"
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate\n%v\nwant\n%s", err, want)
	}
}

func TestParseListen(t *testing.T) {
	for in, want := range map[string]string{
		":4789":          "[::]:4789",
		"0.0.0.0:4789":   "0.0.0.0:4789",
		"127.0.0.1:0":    "127.0.0.1:0",
		"[::1]:4789":     "[::1]:4789",
		"[fe80::1%lo]:1": "[fe80::1%lo]:1",
	} {
		if got, err := config.ParseListen(in); err != nil || got.String() != want {
			t.Errorf("ParseListen(%q) = %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", ":", "4789", "::1:4789", "host:1", "1.2.3.4", ":-1", ":http"} {
		if got, err := config.ParseListen(in); err == nil {
			t.Errorf("ParseListen(%q) = %v, want an error", in, got)
		}
	}
}
