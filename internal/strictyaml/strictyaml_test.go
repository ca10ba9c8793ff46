package strictyaml_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

type inner struct {
	S  string            `yaml:"s"`
	L  []string          `yaml:"l"`
	M  map[string]string `yaml:"m"`
	In *inner            `yaml:"in"`
}

type outer struct {
	Name  string         `yaml:"name"`
	Flag  bool           `yaml:"flag"`
	N     int8           `yaml:"n"`
	U     uint32         `yaml:"u"`
	P     *uint16        `yaml:"p"`
	D     time.Duration  `yaml:"d"`
	T     time.Time      `yaml:"t"`
	Addr  netip.Addr     `yaml:"addr"`
	Allow []netip.Prefix `yaml:"allow"`
	In    inner          `yaml:"in"`
	Opt   *inner         `yaml:"opt"`
	List  []inner        `yaml:"list"`
}

func TestDecode(t *testing.T) {
	var v outer
	err := strictyaml.Decode("f.yaml", []byte("name: 012\nflag: true\nn: -1\nu: 0xff\np: 3\nt: 2026-01-31T15:04:05Z\naddr: fd00::1\nallow: [10.0.0.0/8]\nin: {s: no, l: [a, b], m: {k: 1, a b: 2}}\nopt: {}\nlist: [{s: x}, {in: {in: {s: deep}}}]\n"), &v)
	t.Logf("%+v\n%v", v, err)
	err = strictyaml.Decode("f.yaml", []byte("name: [a]\nflag: yes\nn: 128\nu: -1\np: \"3\"\nt: 2026\naddr: x\nallow: 10.0.0.0/8\n"), &v)
	t.Logf("%v", err)
	err = strictyaml.Decode("f.yaml", []byte("opt:\nin:\nnmae: 3\nname: 3\nname: 4\n<<: {}\nlist: [{s: }, {m: {a b: [], a: !foo x}}, 3]\n? [a]\n: b\nallow: [10.0.0.0]\nu: 010\n"), &v)
	t.Logf("%v", err)
	for _, s := range []string{"", "#\n", "---\n", "a: [", "\x00", "a: 1\n---\nb: 2\n", "a: 1\n---\n[", "[]", "x"} {
		t.Logf("%q %v", s, strictyaml.Decode("f", []byte(s), &v))
	}
}
