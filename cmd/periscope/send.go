package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/packet"
)

// newSendCommand returns `periscope send`.
func newSendCommand() *cobra.Command {
	var to, size string
	config := traffic.SendConfig{}
	var mirror tapFlags
	cmd := &cobra.Command{
		Use:   "send [FILE|-]",
		Short: "Send synthetic mirrored traffic, the frames of a capture file, or those of an interface",
		Long: `Send Ethernet frames in VXLAN to a collector, as AWS VPC Traffic Mirroring does.

Without FILE the frames are generated: TCP, UDP and ICMP over IPv4 and IPv6, in
both directions of many flows, until --count or an interrupt ends it. With FILE,
a pcap or pcapng file, plain, gzip or zstd, its packets are sent once; - is
standard input. In both cases datagrams come from the source ports AWS uses, by
a hash of the inner flow; what has one port arrives in its order.

With --interface the frames are those that an interface of this task or host sends
and receives, until SIGTERM or an interrupt ends it; they leave from one port. It
needs --to, and root or CAP_NET_RAW. In a task of ECS it says whose the frames are,
which the collector believes with sessions.announced. It takes no more than --limit
and --cpu allow, and pauses before it hurts the task.`,
		Example: `  # 100 packets to the collector on this machine, then stop
  periscope send --count 100

  # the frames of a file as VNI 7, as fast as possible
  periscope send --to collector.example.com:4789 --vni 7 --rate 0 frames.pcap

  # this task's own traffic, until it ends
  periscope send --to collector.example.com:4789 --interface default --limit 50Mbit/s`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return command.Usage(fmt.Errorf("send takes one file, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := mirror.check(cmd.Flags(), args); err != nil {
				return command.Usage(err)
			}
			var err error
			if config.Size, err = traffic.ParseSize(size); err != nil {
				return command.Usage(fmt.Errorf("--size: %w", err))
			}
			if config.Flows < 1 {
				return command.Usage(fmt.Errorf("--flows %d: want 1 or more", config.Flows))
			}
			if len(args) == 1 && (cmd.Flags().Changed("flows") || cmd.Flags().Changed("size")) {
				return command.Usage(errors.New("--flows and --size are for generated frames: leave them out with a file"))
			}
			if config.To, err = resolve(cmd.Context(), to); err != nil {
				return err
			}
			if err := config.Validate(); err != nil {
				return command.Usage(err)
			}
			if mirror.name == "" {
				return send(cmd, config, args)
			}
			tapped, err := mirror.config()
			if err == nil {
				err = elsewhere(config.To)
			}
			if err != nil {
				return command.Usage(err)
			}
			tapped.To, tapped.VNI = config.To, config.VNI
			return sendInterface(cmd, tapped)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&to, "to", "127.0.0.1:4789", "collector's `HOST:PORT`; to be given with --interface")
	flags.Uint32Var(&config.VNI, "vni", 1, "VXLAN network identifier, 0 to 16777215")
	flags.Float64Var(&config.Rate, "rate", 1000, "packets a second, 0 for as fast as possible")
	flags.Int64Var(&config.Count, "count", 0, "stop after so many packets, 0 for no limit")
	flags.IntVar(&config.Flows, "flows", 100, "number of generated flows, 1 to 1000000")
	flags.StringVar(&size, "size", "imix", "generated frames' `BYTES` (64 to 9001), or imix")
	mirror.add(flags)
	return cmd
}

// send sends what the arguments name until a signal ends it, and prints the
// result. A second signal ends the process.
func send(cmd *cobra.Command, config traffic.SendConfig, args []string) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	if len(args) == 1 {
		files, err := capture.OpenFiles(capture.FileConfig{Paths: args, Stdin: untilDone(ctx, cmd.InOrStdin()), Batches: 1})
		if err != nil {
			return err
		}
		defer files.Close()
		config.Next = (&fileFrames{files: files, path: args[0]}).append
	}
	erase := ""
	if term.IsTerminal(int(os.Stderr.Fd())) {
		erase = eraseLine
		config.Progress = func(r traffic.Result) { fmt.Fprint(cmd.ErrOrStderr(), erase, r) }
	}
	result, err := traffic.Send(ctx, config)
	fmt.Fprint(cmd.ErrOrStderr(), erase)
	fmt.Fprintln(cmd.OutOrStdout(), result)
	return err
}

// resolveIn is how long a name is looked up at most.
const resolveIn = 5 * time.Second

// resolve returns the address and port of "HOST:PORT", IPv4 if there is a
// choice.
func resolve(ctx context.Context, to string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(to)
	if err != nil || host == "" {
		return netip.AddrPort{}, command.Usage(fmt.Errorf("--to %q: want HOST:PORT, such as 127.0.0.1:4789", to))
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return netip.AddrPort{}, command.Usage(fmt.Errorf("--to %q: port %q: want 1 to 65535", to, service))
	}
	ctx, cancel := context.WithTimeout(ctx, resolveIn)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--to %s: its address is not to be found: %w", to, err)
	}
	best := addrs[0].Unmap()
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			best = a
			break
		}
	}
	return netip.AddrPortFrom(best, uint16(port)), nil
}

// fileFrames yields the frames of a capture file.
type fileFrames struct {
	files *capture.Files
	path  string
	batch *packet.Batch
	next  int // in batch
}

// append appends the next frame to b. At the end it returns io.EOF, or what is
// wrong with the file.
func (f *fileFrames) append(b []byte) ([]byte, error) {
	for f.batch == nil || f.next == len(f.batch.Datagrams) {
		if f.batch != nil {
			f.files.Release(f.batch)
		}
		var err error
		f.next = 0
		if f.batch, err = f.files.Next(); err != nil {
			if damage := f.files.Err(); errors.Is(err, io.EOF) && damage != nil {
				return nil, damage
			}
			return nil, err
		}
	}
	d := &f.batch.Datagrams[f.next]
	f.next++
	if d.Reason != packet.None {
		return nil, fmt.Errorf("%s: packet %d: its link header is cut", f.path, d.Order+1)
	}
	return append(b, d.Buf[d.Off:]...), nil
}
