package lab

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/periscope-collector/periscope/tunnel"
)

// A Task is a running task: a namespace with one interface, t0, that can be
// mirrored.
type Task struct {
	*Namespace

	// Interface names the interface towards the peer, in the peer's namespace.
	Interface string

	MAC     net.HardwareAddr
	Address netip.Addr

	mu    sync.Mutex // held while the mirror changes
	vni   uint32     // 0: not mirrored
	sent  int        // frames, by mirrors that are gone
	ended bool
}

// Mirror has the task mirrored with the VNI from now on, and no longer with the
// one before. Of a task that was stopped it does nothing. Any goroutine may call
// it.
func (t *Task) Mirror(vni uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || vni == t.vni {
		return nil
	}
	if err := t.unmirror(); err != nil {
		return err
	}
	t.vni = vni
	_, err := t.try(fmt.Sprintf(`
		ip link add x0 mtu 8900 type vxlan id %d local %s remote %s dev u0 \
			dstport %d srcport 65408 65535 nolearning noudpcsum
		ip link set x0 up
		for hook in ingress egress; do
			tc filter add dev t0 $hook protocol all prio 1 u32 match u32 0 0 action mirred egress mirror dev x0
		done`, vni, t.Address, CollectorAddr, tunnel.VXLANPort))
	return err
}

// Unmirror ends the mirror, if there is one: what was mirrored is on its way. Any
// goroutine may call it.
func (t *Task) Unmirror() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unmirror()
}

func (t *Task) unmirror() error {
	if t.ended || t.vni == 0 {
		return nil
	}
	t.vni = 0
	frames, err := t.try("for hook in ingress egress; do tc filter delete dev t0 $hook; done\n" + count + "\nip link delete x0")
	t.sent += frames
	return err
}

// count prints how many frames the mirror has sent.
const count = "cat /sys/class/net/x0/statistics/tx_packets"

// try runs lines of shell in the task, and returns the number that they print,
// or 0.
func (t *Task) try(lines string) (int, error) {
	out, err := tryOutput(t.Command("sh", "-euc", lines))
	if err != nil || out == "" {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}

// Sent returns how many frames of the task were mirrored so far. Any goroutine
// may call it.
func (t *Task) Sent() (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.vni == 0 {
		return t.sent, nil
	}
	now, err := t.try(count)
	return t.sent + now, err
}

// Stop ends the task and its mirror: what runs in it is killed, its address is
// free. It returns how many frames of it were mirrored.
func (t *Task) Stop() int {
	t.t.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.unmirror(); err != nil {
		t.t.Fatal(err)
	}
	t.ended = true
	t.remove()
	return t.sent
}
