package judge

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// SplunkConf reads a .conf file of Splunk: its stanzas, and the settings of each.
// A value that goes on over several lines has a space for each line's end. What is
// there twice, or is no setting, fails the test: Splunk would take the last, or
// look past it.
func SplunkConf(t testing.TB, path string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := parseConf(string(text))
	if err != nil {
		t.Fatalf("%s:%v", path, err)
	}
	return conf
}

func parseConf(text string) (map[string]map[string]string, error) {
	conf := make(map[string]map[string]string)
	var stanza map[string]string
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		at, line := i+1, strings.TrimSpace(lines[i])
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			name := strings.TrimSuffix(line[1:], "]")
			if conf[name] != nil || !strings.HasSuffix(line, "]") {
				return nil, fmt.Errorf("%d: [%s is there twice, or has no end", at, name)
			}
			stanza = make(map[string]string)
			conf[name] = stanza
			continue
		}
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSpace(strings.TrimSuffix(line, `\`)) + " " + strings.TrimSpace(lines[i])
		}
		key, value, found := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if _, twice := stanza[key]; stanza == nil || !found || twice {
			return nil, fmt.Errorf("%d: %q is outside of a stanza, no setting, or there twice", at, line)
		}
		stanza[key] = strings.TrimSpace(value)
	}
	return conf, nil
}
