package tap

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	at := time.Unix(1000, 0)
	b := newBucket(25e6, maxBurst) // 200 Mbit/s: 2.5 MB at once
	for i, tt := range []struct {
		after time.Duration
		n     int
		want  bool
	}{
		{0, 2_500_000, true},
		{0, 1, false},
		{time.Millisecond, 25_000, true},
		{0, 1, false},
		{time.Hour, 2_500_001, false}, // no more is saved
		{0, 2_500_000, true},
		{-time.Hour, 1, false}, // a clock that is set back gives nothing
		{0, 0, true},
	} {
		at = at.Add(tt.after)
		if got := b.take(tt.n, at); got != tt.want {
			t.Errorf("%d: take %d: %v", i, tt.n, got)
		}
	}
	slow := newBucket(1, maxBurst)
	if !slow.take(blockLen, at) || slow.take(1, at) {
		t.Error("a low rate takes a block at once, and no more")
	}
	var none bucket
	if !none.take(1<<40, at) {
		t.Error("the zero value bounds something")
	}
}

func TestAllowance(t *testing.T) {
	at, used := time.Unix(1000, 0), time.Hour
	a := allowance{share: 0.05}
	for i, tt := range []struct {
		passes, uses, want time.Duration
	}{
		{0, 0, 0},
		{100 * time.Millisecond, 50 * time.Millisecond, 0}, // the first second's share is there at once
		{100 * time.Millisecond, 5 * time.Millisecond, 0},  // and 5 % are what there is
		{100 * time.Millisecond, 15 * time.Millisecond, 100 * time.Millisecond},
		{100 * time.Millisecond, 0, 0},
		{100 * time.Millisecond, time.Hour, time.Second}, // what is owed has a bound
		{500 * time.Millisecond, 0, 500 * time.Millisecond},
		{time.Second, 0, 0},
		{time.Hour, 50 * time.Millisecond, 0},
	} {
		at, used = at.Add(tt.passes), used+tt.uses
		if got := a.look(used, at); (got - tt.want).Abs() > time.Microsecond {
			t.Errorf("%d: pause %v, want %v", i, got, tt.want)
		}
	}
	var none allowance
	if none.look(0, at) != 0 || none.look(time.Hour, at) != 0 {
		t.Error("the zero value bounds something")
	}
}

func TestReadDevice(t *testing.T) {
	const text = "Inter-|   Receive                                                |  Transmit\n" +
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n" +
		"    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0\n" +
		"  eth0: 1296999   10000    0    7    0     0          0         0  2296999     500    0   42    0     0       0          0\n" +
		" eth01:1       1    0    0    0     0          0         0      1       1    0    1    0     0       0          0\n"
	for name, want := range map[string]deviceCounts{"eth0:": {10500, 42}, "eth01:": {2, 1}, "lo:": {4, 0}, "eth2:": {}} {
		if got := readDevice([]byte(text), name); got != want {
			t.Errorf("%s %v, want %v", name, got, want)
		}
	}
	if got := readDevice([]byte("eth0: 1 2 3\n"), "eth0:"); got != (deviceCounts{2, 0}) {
		t.Errorf("a short line: %v", got)
	}
}

func TestReadThrottled(t *testing.T) {
	for text, want := range map[string]uint64{
		"": 0, "usage_usec 5\nnr_periods 100\nnr_throttled 7\nthrottled_usec 9\n": 7, "nr_throttled x\n": 0,
	} {
		if got := readThrottled([]byte(text)); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestOpenProcessorStat(t *testing.T) {
	mount := t.TempDir()
	for _, dir := range []string{"task/one", "cpu,cpuacct/task", "cpuset/task"} {
		if err := os.MkdirAll(filepath.Join(mount, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(mount, dir, "cpu.stat"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(mount, "cpu,cpuacct", "cpu.stat"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for groups, want := range map[string]string{
		"0::/task/one\n": "task/one/cpu.stat",
		"5:cpuset:/task\n4:cpu,cpuacct:/task\n0::/\n": "cpu,cpuacct/task/cpu.stat",
		"4:cpu,cpuacct:/ecs/0123/4567\n":              "cpu,cpuacct/cpu.stat", // in a container, seen from outside
		"5:cpuset:/task\n":                            "",
		"0::/absent\n":                                "",
		"not a group\n":                               "",
		"":                                            "",
	} {
		f, got := openProcessorStat(mount, groups), ""
		if f != nil {
			got, _ = filepath.Rel(mount, f.Name())
			f.Close()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", groups, got, want)
		}
	}
}

func TestVNI(t *testing.T) {
	seen := make(map[uint32]bool)
	for i := range 1000 {
		vni := VNI("arn:aws:ecs:eu-central-1:111122223333:task/prod/" + string(rune('a'+i)))
		if vni < 1 || vni > maxVNI {
			t.Fatalf("VNI %d", vni)
		}
		seen[vni] = true
	}
	if len(seen) < 990 {
		t.Errorf("%d of 1000 differ", len(seen))
	}
	// Collectors remember it: it must stay.
	if got := VNI("arn:aws:ecs:eu-central-1:111122223333:task/prod/0123456789abcdef0123456789abcdef"); got != 265956 {
		t.Errorf("VNI %d", got)
	}
}
