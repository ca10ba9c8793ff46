package aws_test

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestRelease: what release.sh makes has what the templates and boot.sh name, owned
// by root, and the Lambda function where Lambda looks for it.
func TestRelease(t *testing.T) {
	need(t, "make", "zip", "tar")
	out := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "release.sh", runtime.GOARCH)
	cmd.Env = append(os.Environ(), "OUT="+out, "MAKEFLAGS=") // not those of the make that runs the test
	printed, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	release, function := "periscope-linux-"+runtime.GOARCH+".tar.gz", "periscope-mirror-"+runtime.GOARCH+".zip"
	for _, name := range []string{release, function} {
		if !strings.Contains(string(printed), "  "+name+"\n") {
			t.Errorf("no sum of %s in\n%s", name, printed)
		}
	}

	found := make(map[string]bool)
	f, err := os.Open(filepath.Join(out, release))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || strings.HasPrefix(h.Name, "/") || strings.Contains(h.Name, "..") || h.Mode&0o022 != 0 {
			t.Errorf("%s: mode %o, of %d:%d", h.Name, h.Mode, h.Uid, h.Gid)
		}
		found[h.Name] = true
	}
	for _, name := range []string{"usr/bin/periscope", "usr/lib/systemd/system/periscope.service", "usr/lib/systemd/system/periscope-drain.service",
		"usr/lib/sysusers.d/periscope.conf", "usr/lib/sysctl.d/90-periscope.conf", "etc/periscope/periscope.yaml", "usr/share/periscope/aws/boot.sh",
		"usr/share/periscope/aws/periscope-drain.sh", "usr/share/periscope/aws/prometheus.yaml", "usr/share/periscope/aws/amazon-cloudwatch-agent.json"} {
		if !found[name] {
			t.Errorf("the release lacks %s", name)
		}
	}

	z, err := zip.OpenReader(filepath.Join(out, function))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if len(z.File) != 1 || z.File[0].Name != "bootstrap" || z.File[0].Mode()&0o111 != 0o111 {
		t.Errorf("the function has %d files, the first is %s", len(z.File), z.File[0].FileHeader.Name)
	}
}
