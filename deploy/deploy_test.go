// Package deploy_test holds what is shipped to run Periscope as a service.
package deploy_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
)

const unit = "periscope.service"

// TestUnitExposure holds the unit, and the unit with each drop-in, to the highest
// exposure that systemd-analyze may find, of 10.
func TestUnitExposure(t *testing.T) {
	need(t, "systemd-analyze")
	for _, tt := range []struct {
		dropIn string
		all    bool // also what is commented out in it
		limit  float64
	}{{"", false, 1.5}, {"afpacket.conf", false, 2.0}, {"afpacket.conf", true, 2.0}, {"xdp.conf", false, 2.3}} {
		t.Run(tt.dropIn, func(t *testing.T) {
			out := run(t, "systemd-analyze", "security", "--offline=true", "--no-pager", unitWith(t, tt.dropIn, tt.all))
			found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
			if found == nil {
				t.Fatalf("no exposure level in\n%s", out)
			}
			exposure, err := strconv.ParseFloat(found[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("exposure %.1f", exposure)
			if exposure > tt.limit {
				t.Errorf("exposure is %.1f, more than %.1f:\n%s", exposure, tt.limit, out)
			}
			// The drop-in is in what was looked at: the unit has no right else.
			if right := strings.Contains(out, "✗ CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)"); right != (tt.dropIn != "") {
				t.Errorf("CAP_NET_RAW with the drop-in %q: %v", tt.dropIn, right)
			}
		})
	}
}

// TestDropInsVerify holds the drop-ins with the tool that will read them.
func TestDropInsVerify(t *testing.T) {
	need(t, "systemd-analyze")
	for _, dropIn := range []string{"afpacket.conf", "xdp.conf"} {
		path := unitWith(t, dropIn, true)
		write(t, path, strings.Replace(read(t, path), "ExecStart=/usr/local/bin/periscope", "ExecStart=/bin/true", 1))
		if out := run(t, "systemd-analyze", "verify", path); out != "" {
			t.Errorf("%s: systemd-analyze verify:\n%s", dropIn, out)
		}
	}
}

// unitWith returns the path of a copy of the unit that has the drop-in beside it,
// with all settings in it if so wanted.
func unitWith(t *testing.T, dropIn string, all bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), unit)
	write(t, path, read(t, unit))
	if dropIn != "" {
		if err := os.Mkdir(path+".d", 0o700); err != nil {
			t.Fatal(err)
		}
		text := read(t, dropIn)
		if all {
			text = regexp.MustCompile(`(?m)^#(\w+=)`).ReplaceAllString(text, "$1")
		}
		write(t, filepath.Join(path+".d", dropIn), text)
	}
	return path
}

// TestUnitTimes says that systemd waits longer than the program takes to stop.
func TestUnitTimes(t *testing.T) {
	c, err := config.Load("periscope.yaml")
	if err != nil {
		t.Fatal(err)
	}
	stop, err := time.ParseDuration(setting(t, "TimeoutStopSec"))
	if err != nil {
		t.Fatal(err)
	}
	if longest := time.Duration(c.Drain) + time.Duration(c.StopTimeout); stop <= longest {
		t.Errorf("TimeoutStopSec is %v, and the program may take %v", stop, longest)
	}
}

// TestUnitMayWrite says that the captures of the example, and the journal that it
// has when AWS is asked, lie in the one directory that the unit lets the program
// write to.
func TestUnitMayWrite(t *testing.T) {
	c, err := config.Load("periscope.yaml")
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join("/var/lib", setting(t, "StateDirectory"))
	if c.Sinks.PCAP == nil || !strings.HasPrefix(c.Sinks.PCAP.Dir, state+"/") {
		t.Errorf("captures of periscope.yaml are not below %s: %+v", state, c.Sinks.PCAP)
	}
	path := filepath.Join(t.TempDir(), "periscope.yaml")
	write(t, path, strings.Replace(read(t, "periscope.yaml"), "\n# aws: {}\n", "\naws: {}\n", 1))
	if c, err = config.Load(path); err != nil || c.AWS == nil || filepath.Dir(c.AWS.Journal) != state {
		t.Errorf("the journal of periscope.yaml is not in %s: %+v, %v", state, c.AWS, err)
	}
	if got := setting(t, "ProtectSystem"); got != "strict" {
		t.Errorf("ProtectSystem is %s, want strict", got)
	}
}

// TestInstall installs below a directory of its own, holds the unit and the
// configuration with the tools that will read them, and removes it all but for
// the configuration.
func TestInstall(t *testing.T) {
	need(t, "make", "systemd-analyze", "systemd-sysusers")
	dir := t.TempDir()
	makeTarget(t, dir, "install")
	config := "etc/periscope/periscope.yaml"
	want := []string{
		config,
		"usr/bin/periscope",
		"usr/bin/periscope-mirror",
		"usr/lib/sysctl.d/90-periscope.conf",
		"usr/lib/systemd/system/periscope.service",
		"usr/lib/sysusers.d/periscope.conf",
		"usr/share/periscope/afpacket.conf",
		"usr/share/periscope/xdp.conf",
	}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Fatalf("installed %q, want %q", got, want)
	}
	run(t, filepath.Join(dir, "usr/bin/periscope"), "check", "--config", filepath.Join(dir, config))

	// verify wants the program where the unit says it is.
	installed := filepath.Join(dir, "usr/lib/systemd/system", unit)
	text := read(t, installed)
	if start := "ExecStart=/usr/bin/periscope run --config /etc/periscope/periscope.yaml\n"; !strings.Contains(text, start) {
		t.Errorf("installed unit lacks %q:\n%s", start, text)
	}
	write(t, installed, strings.Replace(text, "ExecStart=", "ExecStart="+dir, 1))
	if out := run(t, "systemd-analyze", "verify", installed); out != "" {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	run(t, "systemd-sysusers", "--dry-run", filepath.Join(dir, "usr/lib/sysusers.d/periscope.conf"))

	if text := read(t, filepath.Join(dir, "usr/share/periscope/xdp.conf")); !strings.Contains(text, " /usr/share/periscope/xdp.conf /etc/systemd") {
		t.Errorf("installed drop-in does not say where it is:\n%s", text)
	}

	const edited = "stop_timeout: 10s\n"
	write(t, filepath.Join(dir, config), edited)
	makeTarget(t, dir, "install")
	makeTarget(t, dir, "uninstall")
	if got, want := files(t, dir), []string{config}; !slices.Equal(got, want) {
		t.Errorf("left after uninstall: %q, want %q", got, want)
	}
	if got := read(t, filepath.Join(dir, config)); got != edited {
		t.Errorf("configuration after install over it and uninstall: %q, want %q", got, edited)
	}
}

func makeTarget(t *testing.T, dir, target string) {
	t.Helper()
	cmd := exec.Command("make", "-C", "..", target, "DESTDIR="+dir, "PREFIX=/usr", "BIN="+t.TempDir())
	cmd.Env = append(os.Environ(), "MAKEFLAGS=") // not those of the make that runs the test
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, out)
	}
}

// setting returns the value of a key that the unit sets once.
func setting(t *testing.T, key string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(read(t, unit), -1)
	if len(found) != 1 {
		t.Fatalf("%s sets %s %d times, want once", unit, key, len(found))
	}
	return found[0][1]
}

// files returns the paths of all files below dir, relative to it and sorted.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run returns what the program prints, and fails the test unless it exits with
// 0.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &out)
	}
	return out.String()
}

// need skips the test, or fails it with CI=true, when a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("needs %s: run make tools", name)
			}
			t.Skipf("needs %s: run make tools", name)
		}
	}
}
