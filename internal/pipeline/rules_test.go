package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
)

const twoFilters = `filters:
  - name: to-web
    rules:
      - {number: 1, action: accept, direction: egress, source: 0.0.0.0/0, destination: 0.0.0.0/0, protocol: 6, destination_ports: 443}
  - name: nothing
`

// configOf loads a configuration beside a filter file.
func configOf(t testing.TB, text string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"p.yaml": text, "filters.yaml": twoFilters} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "p.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestLoadRules(t *testing.T) {
	cfg := configOf(t, `
filter:
  file: filters.yaml
  sessions: [{label: team=shop, vni: 0, filter: nothing}, {filter: to-web}]
keep: [{service: web, cidr: 10.0.0.1, port: 1-443, keep: none}, {session: db, keep: full}, {cluster: prod, label: a, keep: headers}, {keep: none}]
sinks: {pcap: {filter: to-web}, flowlog: {}}
`)
	r, err := loadRules(cfg)
	if err != nil {
		t.Fatal(err)
	}
	egress := packet.Frame{Data: tcpFrame, Session: &packet.Session{}, Direction: packet.Egress, Header: packet.Header{
		Version: 4, Network: 14, Transport: 34, Protocol: packet.ProtocolTCP, SrcPort: 12345, DstPort: 443,
		Src: packet.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: packet.AddrFrom4([4]byte{192, 0, 2, 7}),
	}}
	if len(r.Sessions) != 2 || r.Sessions[0].Match != (filter.Match{LabelKey: "team", LabelValue: "shop"}) ||
		r.Sessions[0].Filter.Accepts(&egress) || r.Sessions[1].Match != everySession || !r.Sessions[1].Filter.Accepts(&egress) {
		t.Errorf("sessions %+v", r.Sessions)
	}
	if len(r.Sinks) != 1 || !r.Sinks["pcap"].Accepts(&egress) {
		t.Errorf("sinks %+v", r.Sinks)
	}
	for _, row := range []struct {
		session *packet.Session
		rules   uint64
		want    filter.Keep
	}{
		{&packet.Session{Workload: packet.Workload{Service: "web"}}, 1<<0 | 1<<3, filter.None},
		{&packet.Session{Name: "db"}, 1<<1 | 1<<3, filter.Full},
		{&packet.Session{Workload: packet.Workload{Cluster: "prod", Labels: map[string]string{"a": "b"}}}, 1<<2 | 1<<3, filter.Headers},
		{&packet.Session{Workload: packet.Workload{Cluster: "prod"}}, 1 << 3, filter.None},
	} {
		if got := r.Keep.Rules(row.session); got != row.rules || r.Keep.Of(got, &egress) != row.want {
			t.Errorf("%+v: rules %b, keep %v; want %b, %v", row.session.Workload, got, r.Keep.Of(got, &egress), row.rules, row.want)
		}
	}
	if r, err := loadRules(configOf(t, "")); err != nil || r.Keep != nil || len(r.Sessions)+len(r.Sinks) != 0 {
		t.Errorf("of nothing: %+v, %v", r, err)
	}
}

func TestLoadRulesErrors(t *testing.T) {
	cfg := configOf(t, `
filter: {file: filters.yaml, sessions: [{vni: 1, filter: web}, {filter: to-web}]}
sinks: {pcap: {filter: To-web}}
`)
	_, err := loadRules(cfg)
	want := `filter.sessions[0].filter: "web" is not in ` + cfg.Filter.File + `, which holds to-web, nothing
sinks.pcap.filter: "To-web" is not in ` + cfg.Filter.File + `, which holds to-web, nothing`
	var key *KeyError
	if err == nil || err.Error() != want || !errors.As(err, &key) {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
	if got := CheckFiles(cfg); got == nil || got.Error() != want {
		t.Errorf("CheckFiles: %v", got)
	}
	// A file that nothing uses is read all the same.
	for text, want := range map[string]string{
		"filters: [{name: a, rules: [{number: 0}]}]": ":1:",
		"": "no key filters",
	} {
		if err := os.WriteFile(cfg.Filter.File, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		cfg.Filter.Sessions, cfg.Sinks.PCAP = nil, nil
		var file *FileError
		if _, err := loadRules(cfg); !errors.As(err, &file) || !strings.Contains(err.Error(), cfg.Filter.File) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.Remove(cfg.Filter.File); err != nil {
		t.Fatal(err)
	}
	if _, err := loadRules(cfg); err == nil || !strings.Contains(err.Error(), cfg.Filter.File) {
		t.Errorf("a missing file: %v", err)
	}
}

// SIGHUP takes over filters and what to keep, or nothing.
func TestReloadRules(t *testing.T) {
	const base = "capture: {listen: ['127.0.0.1:0'], geneve: [], workers: 1}\nadmin: {listen: ''}\n"
	first := configOf(t, base+"keep: [{keep: headers}]\n")
	l, err := NewLive(*first, "test", discard)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		l.Stop()
		if err := l.Run(); err != nil {
			t.Error(err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	gate := l.gate.Load()
	if gate == nil {
		t.Fatal("no gate")
	}
	wrong := configOf(t, base+"filter: {file: filters.yaml, sessions: [{filter: web}]}\ndrain: 1s\n")
	if err := l.Reload(*wrong); err == nil || l.gate.Load() != gate || l.Config().Drain != 0 {
		t.Errorf("reloaded a configuration with an error: %v", err)
	}
	if err := l.Reload(*configOf(t, base+"filter: {file: filters.yaml, sessions: [{filter: to-web}]}\n")); err != nil {
		t.Fatal(err)
	}
	if g := l.gate.Load(); g == gate || len(g.sessions) != 1 || g.keep.Rules(&packet.Session{}) != 0 {
		t.Errorf("gate %+v", g)
	}
	if err := l.Reload(*configOf(t, base)); err != nil || l.gate.Load() != nil {
		t.Errorf("there is a gate without rules, or %v", err)
	}
}
