package judge

import (
	"maps"
	"testing"
)

func TestParseConf(t *testing.T) {
	conf, err := parseConf("# comment\n[a b]\nk = v=1 \\\n  w\nempty =\n\n[c]\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"k": "v=1 w", "empty": ""}; !maps.Equal(conf["a b"], want) || conf["c"] == nil || len(conf) != 2 {
		t.Errorf("%q", conf)
	}
	for _, bad := range []string{"k = v", "[a\nk = v", "[a]\nk", "[a]\nk = 1\nk = 2", "[a]\n[a]"} {
		if conf, err := parseConf(bad); err == nil {
			t.Errorf("%q gives %q", bad, conf)
		}
	}
}

func FuzzSplunkConf(f *testing.F) {
	f.Add("# c\n[a]\nk = v \\\n  w\n[b]\nx=\n")
	f.Add("[a\nk")
	f.Add("k=v\n\\")
	f.Fuzz(func(t *testing.T, text string) {
		conf, err := parseConf(text)
		if (conf == nil) != (err != nil) {
			t.Errorf("%v and %v", conf, err)
		}
	})
}
