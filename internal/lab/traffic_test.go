package lab_test

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/lab"
)

// transfer is what HTTP carries each way, in bytes.
const transfer = 2 << 20

// startServers starts what the host offers: HTTP, and DNS with an answer too
// long for UDP. Both listen before any frame has passed.
func startServers(t *testing.T, l *lab.Lab) {
	t.Helper()
	lab.Need(t, "curl", "dig", "dnsmasq", "ping")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l.Host.Start("", "env", serve+"=http", self)
	lab.Eventually(t, "the HTTP server listens", func() bool {
		return l.Host.Command("curl", "-sf", "http://127.0.0.1/1").Run() == nil
	})
	long := "--txt-record=long.lab.test" + strings.Repeat(","+strings.Repeat("x", 200), 20)
	l.Host.Start("started, version", "dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null",
		"--no-resolv", "--no-hosts", "--user=root", "--pid-file=", "--address=/www.lab.test/192.0.2.80", long)
}

// talk has real programs talk over both mirrored interfaces in both families.
func talk(t *testing.T, l *lab.Lab) {
	t.Helper()
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, noise(transfer), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range l.Mirrors {
		for _, host := range []netip.Addr{m.Host, m.Host6} {
			talkHTTP(t, l, host, upload)
			talkDNS(t, l, host)
			// Small, jumbo and in fragments.
			for _, size := range []string{"56", "8900", "20000"} {
				l.Client.Run("ping", "-c", "3", "-i", "0.01", "-W", "60", "-s", size, host.String())
			}
		}
	}
}

func talkHTTP(t *testing.T, l *lab.Lab, host netip.Addr, upload string) {
	t.Helper()
	url := "http://" + netip.AddrPortFrom(host, 80).String()
	if got := l.Client.Run("curl", "-sSf", fmt.Sprintf("%s/%d", url, transfer)); got != string(noise(transfer)) {
		t.Errorf("download from %s: got %d bytes that are not the %d sent", url, len(got), transfer)
	}
	want := fmt.Sprintf("%x", sha256.Sum256(noise(transfer)))
	if got := l.Client.Run("curl", "-sSf", "--data-binary", "@"+upload, url); got != want {
		t.Errorf("upload to %s: sum is %s, want %s", url, got, want)
	}
}

func talkDNS(t *testing.T, l *lab.Lab, host netip.Addr) {
	t.Helper()
	for _, query := range []struct{ transport, name, kind, want string }{
		{"+notcp", "www.lab.test", "A", "192.0.2.80"},
		{"+tcp", "www.lab.test", "A", "192.0.2.80"},
		{"+notcp", "long.lab.test", "TXT", strings.Repeat("x", 200)}, // cut over UDP, so asked again over TCP
	} {
		answer := l.Client.Run("dig", "+short", "+tries=1", "+time=60", query.transport, "@"+host.String(), query.name, query.kind)
		if !strings.Contains(answer, query.want) {
			t.Errorf("%s %s of %s: answer %q lacks %q", query.kind, query.name, host, answer, query.want)
		}
	}
}
