package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const senderAddr, receiverAddr = "10.9.0.2", "10.9.0.1"

var receiverMAC = [6]byte{0x02, 0, 0, 0, 0, 1}

// measure sends to one kind of receiver after the other and prints a table.
func (b *blast) measure() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w; run as root", err)
	}
	fmt.Printf("%d-byte inner frames of %d flows, from one processor\n\n", b.Size, b.Flows)
	fmt.Printf("%-24s %12s %12s %12s %12s %12s %12s\n", "received by", "packets/s", "CPU ns each", "sent", "dropped", "unread", "received/s")
	for _, kind := range kinds {
		t, err := b.try(kind.name)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		fmt.Printf("%-24s %12.0f %12.0f %12d %12d %12d %12.0f\n", kind.what, float64(t.Sent)/t.Seconds, t.CPU*1e9/float64(max(t.Sent, 1)),
			t.Sent, t.dropped, t.Sent-t.dropped-t.received, float64(t.received)/t.Seconds)
	}
	return nil
}

// A trial is what became of one blast. dropped were never queued at the
// receiving interface; received were read by the socket.
type trial struct {
	result
	dropped, received uint64
}

// try sends to a receiver of that kind, in a namespace of its own, and holds
// what was sent against what arrived.
func (b *blast) try(kind string) (trial, error) {
	r, err := startReceiver(kind, b.cpu+1)
	if err != nil {
		return trial{}, err
	}
	defer r.kill()
	err = shell(fmt.Sprintf(`
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
		ip link add b0 mtu 9216 type veth peer name b1 mtu 9216 address 02:00:00:00:00:01 netns %d
		ip address add %s/24 dev b0
		ip link set b0 up`, r.cmd.Process.Pid, senderAddr))
	if err != nil {
		return trial{}, err
	}
	defer shell("ip link delete b0")
	if err := r.ready(); err != nil {
		return trial{}, err
	}
	// Till the kernel has looked at the carrier, socket buffers go nowhere.
	if err := shell(`timeout 60 sh -c 'until ip link show b0 | grep -q "state UP"; do sleep 0.01; done'`); err != nil {
		return trial{}, err
	}
	var t trial
	b.Interface = "b0"
	if t.result, err = b.run(); err != nil {
		return trial{}, err
	}
	arrived, dropped, err := r.counters(t.Sent)
	if err != nil {
		return trial{}, err
	}
	if arrived+dropped != t.Sent {
		return trial{}, fmt.Errorf("%d sent, and the interfaces know of %d received and %d dropped", t.Sent, arrived, dropped)
	}
	t.dropped = dropped
	t.received, err = r.stop()
	if kind == "drop" {
		t.received = arrived
	}
	return t, err
}

// A receiver is a process that runs receive.
type receiver struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

func startReceiver(kind string, cpu int) (*receiver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "receive", fmt.Sprintf("%s,%d", kind, cpu))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &receiver{cmd, stdin, bufio.NewReader(stdout)}, nil
}

// ready has the receiver, whose interface is there, set itself up.
func (r *receiver) ready() error {
	if _, err := r.stdin.Write([]byte("\n")); err != nil {
		return err
	}
	_, err := r.out.ReadString('\n')
	return err
}

// stop has the receiver read what is queued, and returns how many packets it
// read in all.
func (r *receiver) stop() (uint64, error) {
	if err := r.stdin.Close(); err != nil {
		return 0, err
	}
	line, err := r.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(line), 10, 64)
}

// kill ends the process, which may have ended.
func (r *receiver) kill() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

// counters returns what b1 received and b0 dropped, as soon as it is n packets,
// or after a minute.
func (r *receiver) counters(n uint64) (received, dropped uint64, err error) {
	const rxPackets, txDropped = 1, 11 // fields of /proc/net/dev
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(tick) {
		if received, err = counter(strconv.Itoa(r.cmd.Process.Pid), "b1", rxPackets); err != nil {
			return 0, 0, err
		}
		if dropped, err = counter("thread-self", "b0", txDropped); err != nil {
			return 0, 0, err
		}
		if received+dropped >= n || time.Now().After(deadline) {
			return received, dropped, nil
		}
	}
}

// counter reads a counter of an interface in the namespace of a process.
func counter(process, name string, field int) (uint64, error) {
	text, err := os.ReadFile("/proc/" + process + "/net/dev")
	if err != nil {
		return 0, err
	}
	_, line, _ := strings.Cut(string(text), name+":")
	fields := strings.Fields(line)
	if len(fields) <= field {
		return 0, fmt.Errorf("no interface %s in %q", name, text)
	}
	return strconv.ParseUint(fields[field], 10, 64)
}

// shell runs lines of shell in the namespace of the calling thread.
func shell(lines string) error {
	if out, err := exec.Command("sh", "-euc", lines).CombinedOutput(); err != nil {
		return fmt.Errorf("set up the network: %w: %s", err, out)
	}
	return nil
}
