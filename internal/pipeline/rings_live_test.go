package pipeline

import (
	"errors"
	"io/fs"
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/lab"
)

// alone gives the test's thread a network of its own with the interface near.
func alone(t *testing.T) {
	t.Helper()
	lab.Need(t, "ip")
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	ip(t, "link add name near type veth peer name far")
	ip(t, "link set near up")
}

func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// TestBackendIsUDPWhenTheInterfaceHasGone takes the interface away, and makes a
// new one of its name, which the rings are not on.
func TestBackendIsUDPWhenTheInterfaceHasGone(t *testing.T) {
	for _, backend := range []string{backendAFPacket, backendXDP} {
		t.Run(backend, func(t *testing.T) {
			alone(t)
			c := config.Default().Capture
			c.Backend, c.Interface, c.Workers, c.Ring = backend, "near", 1, 2<<20
			in, err := openInputs(&c, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer in.close()
			if got := in.taking(); got != backend {
				t.Errorf("backend %s, want %s", got, backend)
			}
			ip(t, "link del near")
			ip(t, "link add name near type veth peer name far")
			if got := in.taking(); got != backendUDP {
				t.Errorf("the interface has gone: backend %s", got)
			}
		})
	}
}

// TestBackendDenied asks for rings without a right to any: an error by name, and
// none with auto.
func TestBackendDenied(t *testing.T) {
	alone(t)
	var no [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &no[0]); err != nil { // of this thread
		t.Fatal(err)
	}
	c := config.Default().Capture
	c.Interface, c.Workers, c.ReceiveBuffer = "near", 1, 64<<10
	for _, backend := range []string{backendAFPacket, backendXDP} {
		c.Backend = backend
		_, err := openInputs(&c, slog.New(slog.DiscardHandler))
		var denied *DeniedError
		if !errors.As(err, &denied) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", backend, err)
		}
	}
	c.Backend = backendAuto
	in, err := openInputs(&c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	if got := in.taking(); got != backendUDP {
		t.Errorf("backend %s without a right", got)
	}
}

// TestBackendWithoutLockedMemory asks for more than anyone without CAP_IPC_LOCK
// may lock.
func TestBackendWithoutLockedMemory(t *testing.T) {
	alone(t)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		t.Fatal(err)
	}
	all[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	if err := unix.Capset(&header, &all[0]); err != nil { // of this thread
		t.Fatal(err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 64 << 10, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_MEMLOCK, &was) })

	c := config.Default().Capture
	c.Backend, c.Interface, c.Workers = backendXDP, "near", 1
	_, err := openInputs(&c, slog.New(slog.DiscardHandler))
	var denied *DeniedError
	if !errors.As(err, &denied) || !strings.Contains(err.Error(), "LimitMEMLOCK=") {
		t.Error(err)
	}
}
