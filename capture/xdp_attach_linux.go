package capture

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// oneBufferMTU is the MTU that drivers take whose packets have to fit one page:
// 4,096 bytes, of which 256 and 320 are the kernel's, 22 the Ethernet header, a
// tag and the checksum. Some take a few bytes more.
const oneBufferMTU = 4096 - 256 - 320 - 22

// A hook is how the program is attached.
type hook struct {
	native bool // in the driver
	frags  bool // takes packets of several buffers
	link   ebpflink.Link
}

// open attaches the program, and then opens the sockets: till a queue has one,
// its packets pass.
func (x *XDP) open(device *net.Interface, ports tunnelPorts, cfg XDPConfig) error {
	mac, err := hardwareAddr(device.Name)
	if err != nil {
		return err
	}
	queues := ReceiveQueues(device.Name)
	x.sockets, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "periscope_xsk", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(queues)})
	if err != nil {
		return permission("map of sockets", err)
	}
	spec := ebpf.ProgramSpec{
		Name: "periscope_xdp", Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: xdpProgram(ports, mac, x.sockets.FD()),
	}
	for i := range queues { // before the program: attaching it resets some drivers
		q := &xdpQueue{fd: -1, number: uint32(i), worker: i % cfg.Workers}
		x.queues = append(x.queues, q)
		if err := q.open(cfg.Frames); err != nil {
			return permission(fmt.Sprintf("queue %d", i), err)
		}
	}
	h, err := attachXDP(device, cfg.Log, func(h *hook) error { return h.attach(device, spec) })
	if err != nil {
		return err
	}
	x.program = h.link

	several, err := x.bind(device, h)
	if err != nil {
		return err
	}
	if !several && device.MTU > bufferRoom-packetHeaders {
		return mtuError(device, errors.New("this kernel hands over no packets of several buffers"))
	}
	if err := x.openSources(device, ports, cfg, several); err != nil {
		return err
	}
	mode := "generic"
	if h.native {
		mode = "native"
	}
	cfg.Log.Info("listening on XDP sockets", "interface", device.Name, "mode", mode,
		"zero_copy", x.queues[0].zeroCopy(), "multi_buffer", several, "queues", queues, "workers", cfg.Workers,
		"queue_bytes", cfg.Frames*bufferLen, "mtu", device.MTU)
	return x.begin()
}

// begin makes the program find the sockets.
func (x *XDP) begin() error {
	for _, q := range x.queues {
		if err := x.sockets.Put(q.number, uint32(q.fd)); err != nil {
			return fmt.Errorf("queue %d: %w", q.number, err)
		}
	}
	return nil
}

// packetHeaders is what a packet may have beside its MTU: Ethernet and two tags.
const packetHeaders = 22

// attachXDP attaches the program: in the driver rather than in front of the IP
// stack, for packets of several buffers rather than of one.
func attachXDP(device *net.Interface, log *slog.Logger, attach func(*hook) error) (hook, error) {
	var err, native error
	for _, h := range []hook{{native: true, frags: true}, {native: true}, {frags: true}, {}} {
		if !h.native && native == nil {
			native = err
			if device.MTU > oneBufferMTU && !errors.Is(native, unix.EOPNOTSUPP) {
				return hook{}, mtuError(device, native)
			}
			log.Warn("the driver takes no XDP program: it runs in front of the IP stack, which is slower",
				"interface", device.Name, "error", native)
		}
		if err = attach(&h); err == nil {
			return h, nil
		}
		switch {
		case errors.Is(err, unix.EPERM):
			return hook{}, permission("program", err)
		case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
			return hook{}, errors.New("an XDP program is attached already, and stays: see \"ip link\"; detach it, or use backend afpacket")
		}
	}
	return hook{}, fmt.Errorf("attach the program: %w", err)
}

func (h *hook) attach(device *net.Interface, spec ebpf.ProgramSpec) error {
	flags := ebpflink.XDPGenericMode
	if h.native {
		flags = ebpflink.XDPDriverMode
	}
	if h.frags {
		spec.Flags = unix.BPF_F_XDP_HAS_FRAGS
	}
	program, err := ebpf.NewProgram(&spec)
	if err != nil {
		return err
	}
	defer program.Close() // the link keeps it
	h.link, err = ebpflink.AttachXDP(ebpflink.XDPOptions{Program: program, Interface: device.Index, Flags: flags})
	return err
}

func mtuError(device *net.Interface, cause error) error {
	return fmt.Errorf("an MTU of %d does not fit one buffer (%d): %w: ip link set %s mtu %d, or backend afpacket",
		device.MTU, oneBufferMTU, cause, device.Name, oneBufferMTU)
}

// permission says what is missing where something is not permitted, in place of
// what the library guesses.
func permission(what string, err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%s: %w: run as root, or give it CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF", what, unix.EPERM)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// queueWait bounds how long a queue may be that of a process that has ended: the
// kernel takes its time to free it.
const queueWait = 10 * time.Second

// bind makes each socket that of its queue, and reports whether they take packets
// of several buffers.
func (x *XDP) bind(device *net.Interface, h hook) (several bool, err error) {
	flags := uint16(unix.XDP_USE_NEED_WAKEUP) // the driver writes to the buffers itself where it can
	if !h.native {
		flags |= unix.XDP_COPY
	}
	if h.frags {
		flags |= unix.XDP_USE_SG
	}
	for i, q := range x.queues {
		err := q.bind(device.Index, flags)
		if err == unix.EINVAL && flags&unix.XDP_USE_SG != 0 { // before Linux 6.6
			flags &^= unix.XDP_USE_SG
			err = q.bind(device.Index, flags)
		}
		for deadline := time.Now().Add(queueWait); err == unix.EBUSY && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
			err = q.bind(device.Index, flags)
		}
		if err == unix.EBUSY {
			return false, fmt.Errorf("queue %d: another AF_XDP socket has it: %w", i, err)
		}
		if err != nil {
			return false, fmt.Errorf("queue %d: bind: %w", i, err)
		}
	}
	return flags&unix.XDP_USE_SG != 0, nil
}
