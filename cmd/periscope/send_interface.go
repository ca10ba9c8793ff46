package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/ecsmeta"
	"github.com/periscope-collector/periscope/internal/nic"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/announce"
	"github.com/periscope-collector/periscope/tap"
)

// tapHeap bounds the Go heap of a sender that mirrors an interface, of which it
// takes 6 MiB. With the ring of 8 MiB and what of the program is in memory, 15 MiB,
// that is below 64 MiB.
const tapHeap = 16 << 20

// A tapFlags is what `periscope send --interface` is told.
type tapFlags struct {
	name, filter, filterName, limit, cpu string
	length                               int
}

func (f *tapFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.name, "interface", "", "mirror this `INTERFACE`, or that of the default route: default")
	flags.StringVar(&f.filter, "filter", "", "mirror what the mirror filter in `FILE` accepts")
	flags.StringVar(&f.filterName, "filter-name", "", "the filter's `NAME`, if the file has several")
	flags.IntVar(&f.length, "packet-length", 0, "mirror so many `BYTES` of a frame (35 to 9001), 0 for all that fit")
	flags.StringVar(&f.limit, "limit", "200Mbit/s", "mirror at most this `RATE` of frames, in bit/s, kbit/s, Mbit/s or Gbit/s, 0 for no limit")
	flags.StringVar(&f.cpu, "cpu", "5%", "take at most this `SHARE` of a core, up to 100%, 0 for no limit")
}

// tapNames are the flags that go with an interface alone, fileNames those that do
// not go with one.
var (
	tapNames  = []string{"filter", "filter-name", "packet-length", "limit", "cpu"}
	fileNames = []string{"rate", "count", "flows", "size"}
)

// check returns what is wrong with the flags together.
func (f *tapFlags) check(flags *pflag.FlagSet, args []string) error {
	if f.name == "" && flags.Changed("interface") {
		return errors.New("--interface: empty; name one, or default")
	}
	wrong, what := tapNames, "goes with --interface: name one"
	if f.name != "" {
		wrong, what = fileNames, "is for frames that are generated or in a file: leave it out with --interface"
	}
	if i := slices.IndexFunc(wrong, flags.Changed); i >= 0 {
		return fmt.Errorf("--%s %s", wrong[i], what)
	}
	switch {
	case f.name != "" && len(args) > 0:
		return fmt.Errorf("--interface mirrors an interface: leave out %q", args[0])
	case f.name != "" && !flags.Changed("to"):
		return errors.New("--interface needs the collector: name it with --to HOST:PORT")
	case f.filterName != "" && f.filter == "":
		return errors.New("--filter-name is of a file: name it with --filter")
	}
	return nil
}

// What --packet-length may be: as much as says what a packet is, as in the rules of
// periscope-mirror, and the longest frame.
const minLength, maxLength = 35, 9001

// config returns what the flags say.
func (f *tapFlags) config() (tap.Config, error) {
	cfg := tap.Config{Interface: f.name, PacketLength: f.length}
	if f.length != 0 && (f.length < minLength || f.length > maxLength) {
		return cfg, fmt.Errorf("--packet-length %d: want %d to %d, or 0 for whole frames", f.length, minLength, maxLength)
	}
	var err error
	if cfg.Rate, err = parseLimit(f.limit); err != nil {
		return cfg, fmt.Errorf("--limit %q: %w", f.limit, err)
	}
	if cfg.CPU, err = parseShare(f.cpu); err != nil {
		return cfg, fmt.Errorf("--cpu %q: %w", f.cpu, err)
	}
	if f.filter != "" {
		if cfg.Filter, err = loadFilter(f.filter, f.filterName); err != nil {
			return cfg, err
		}
	}
	if f.name == "default" {
		if cfg.Interface, err = nic.DefaultRoute(); err != nil {
			return cfg, fmt.Errorf("--interface default: %w", err)
		}
		if cfg.Interface == "" {
			return cfg, errors.New("--interface default: there is no default route; name an interface")
		}
	}
	return cfg, nil
}

// loadFilter compiles the filter of a name, or the only one, of a file.
func loadFilter(path, name string) (*filter.Program, error) {
	file, err := filter.Load(path)
	if err != nil {
		return nil, err
	}
	var found *filter.Filter
	switch {
	case name != "":
		if found = file.Filter(name); found == nil {
			return nil, fmt.Errorf("--filter-name %q: no such filter in %s", name, path)
		}
	case len(file.Filters) == 1:
		found = &file.Filters[0]
	default:
		return nil, fmt.Errorf("--filter %s: it has %d filters; name one with --filter-name", path, len(file.Filters))
	}
	return found.Compile()
}

// parseLimit reads a rate such as 200Mbit/s, in bits a second.
func parseLimit(s string) (float64, error) {
	n, unit, err := humanize.ParseSI(s)
	if err != nil || n < 0 || unit != "bit/s" && (unit != "" || n != 0) {
		return 0, errors.New("want a rate such as 200Mbit/s, or 0 for no limit")
	}
	return n, nil
}

// parseShare reads a share of a core such as 5%.
func parseShare(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !percent && n != 0 || !(n >= 0 && n <= 100) {
		return 0, errors.New("want a share of a core such as 5%, at most 100%, or 0 for no limit")
	}
	return n / 100, nil
}

// elsewhere returns an error if an address is of this network namespace, in which a
// task has no collector.
func elsewhere(to netip.AddrPort) error {
	addr := to.Addr()
	own, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("addresses of the interfaces: %w", err)
	}
	here := func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr() == addr.WithZone("")
	}
	if addr.IsLoopback() || addr.IsUnspecified() || slices.ContainsFunc(own, here) {
		return fmt.Errorf("--to %s: that is this task or host itself: name the collector's address", to)
	}
	return nil
}

// sendInterface mirrors an interface until a signal ends it, and prints the
// result. A second signal ends the process.
func sendInterface(cmd *cobra.Command, cfg tap.Config) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	debug.SetMemoryLimit(tapHeap)
	cfg.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	if err := identify(ctx, &cfg, cmd.Flags().Changed("vni")); err != nil {
		return err
	}
	if ctx.Err() != nil { // it ends before it began
		fmt.Fprintln(cmd.OutOrStdout(), tap.Stats{})
		return nil
	}
	t, err := tap.Open(cfg)
	if errors.Is(err, fs.ErrPermission) {
		return command.Usage(fmt.Errorf("%w: in a container, leave Docker's default capability NET_RAW in place", err))
	}
	if errors.Is(err, tap.ErrNoInterface) {
		return command.Usage(fmt.Errorf("--interface: %w", err))
	}
	if err != nil {
		return err
	}
	err = t.Run(ctx)
	err = errors.Join(err, t.Close())
	fmt.Fprintln(cmd.OutOrStdout(), t.Stats())
	return err
}

// identify asks ECS which task this is. Its frames then have a VNI of their own,
// unless one is given, and the collector is told.
func identify(ctx context.Context, cfg *tap.Config, vniGiven bool) error {
	if os.Getenv(ecsmeta.Variable) != "" {
		cfg.Log.Info("waiting for the task's metadata: nothing is mirrored before that", "at_most", ecsmeta.Longest)
	}
	meta, err := ecsmeta.Task(ctx)
	if errors.Is(err, ecsmeta.ErrNone) || ctx.Err() != nil {
		return nil
	}
	if err != nil {
		cfg.Log.Warn("ECS does not say which task this is: it is mirrored without a name", "error", err)
		return nil
	}
	device, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return command.Usage(fmt.Errorf("--interface: interface %q: %w; see \"ip link\"", cfg.Interface, tap.ErrNoInterface))
	}
	if !vniGiven {
		cfg.VNI = tap.VNI(meta.TaskARN)
	}
	var mac [6]byte
	copy(mac[:], device.HardwareAddr)
	entry := meta.Entry(cfg.VNI, mac)
	entry.From = time.Now().UnixNano()
	cfg.Workload = entry.Workload
	cfg.Log.Info("this is a task of ECS", "name", entry.Name, "task_arn", meta.TaskARN, "vni", cfg.VNI)
	cfg.Announce, cfg.AnnounceEvery = announcer(cfg.Log, mac, entry), announce.Every
	return nil
}

// announcer returns what says the entry, and that it ends.
func announcer(log *slog.Logger, mac [6]byte, entry session.Entry) func(last bool) []byte {
	return func(last bool) []byte {
		if last {
			entry.Until = time.Now().UnixNano()
		}
		frame, err := announce.Append(nil, mac, &entry)
		if err != nil {
			log.Warn("the task cannot be announced", "error", err)
			return nil
		}
		return frame
	}
}
