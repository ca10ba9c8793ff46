package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
)

func newReplayCommand() *cobra.Command {
	var path, out, flows, pace, sessions, report, simulate, summary string
	var workers int
	var bareVNI int64
	cmd := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Take capture files instead of live traffic",
		Long: `Replay reads pcap and pcapng files, plain, gzip or zstd, - for standard input,
takes the mirrored frames out of their tunnels, and gives them to the sinks.
Without --out, --flows and a configured sink it only counts.

Whose the frames are says --sessions, else the configuration: its session file,
and where it has aws the journal of the collector, aws.journal. Frames of capture
files that Periscope wrote, --bare-vni, are told apart in a journal by the MAC
address of the interface.

The clock is the capture's, the order is that of the files. The same files give
the same output, byte for byte, whatever the number of workers.

Nothing is overwritten: a second replay into the same directory adds every frame
and record once more, in files of its own. For a clean result name an empty one.`,
		Example: `  # what is in a capture of UDP 4789?
  periscope replay mirror.pcap

  # the frames inside, by session, as pcap files
  periscope replay --out frames mirror.pcap

  # their flows, as VPC Flow Logs would have them
  periscope replay --flows flows mirror.pcap

  # a capture of last week, with the tasks of last week
  periscope replay --out last-week --sessions sessions.journal mirror.pcap

  # the same of a capture file that Periscope wrote before it knew them
  periscope replay --out named --sessions sessions.journal --bare-vni 7 frames.pcap

  # what VPC Flow Logs would leave out of them
  periscope replay --report blind-spots mirror.pcap

  # what other mirror filters would leave of them
  periscope replay --simulate-filter filters.yaml mirror.pcap`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return command.Usage(errors.New("replay needs a capture file, or - for standard input"))
			}
			cfg, err := replayConfig(path)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("out") {
				setOut(cfg, out)
			}
			if cmd.Flags().Changed("flows") {
				setFlows(cfg, flows)
			}
			if cmd.Flags().Changed("workers") {
				cfg.Capture.Workers = workers
			}
			if cmd.Flags().Changed("sessions") {
				cfg.Sessions.File = sessions
			}
			if err := cfg.Validate(); err != nil {
				return command.Usage(err)
			}
			speed, err := parsePace(pace)
			if err != nil {
				return command.Usage(err)
			}
			if cmd.Flags().Changed("bare-vni") && (bareVNI < 0 || bareVNI >= 1<<24) {
				return command.Usage(fmt.Errorf("--bare-vni %d: want 0 to %d", bareVNI, 1<<24-1))
			}
			if cmd.Flags().Changed("report") && report != blindSpots {
				return command.Usage(fmt.Errorf("--report %q: want %s", report, blindSpots))
			}
			if err := oneResult(cmd.Flags(), summary, "report", "simulate-filter"); err != nil {
				return err
			}
			return replay(cmd, *cfg, pipeline.ReplayConfig{
				Paths:     args,
				Stdin:     cmd.InOrStdin(),
				BareVNI:   bareVNI,
				NoJournal: cmd.Flags().Changed("sessions"),
				Pace:      speed,
				Report:    report != "",
				Simulate:  simulate,
				Version:   version,
			}, summary)
		},
	}
	f := cmd.Flags()
	f.StringVar(&path, "config", "", "configuration `FILE`; its sinks, rules and sessions are used")
	f.StringVar(&out, "out", "", "write pcap files below `DIR`")
	f.StringVar(&flows, "flows", "", "write flow-log files below `DIR`")
	f.StringVar(&report, "report", "", "print a `REPORT` on the flows: "+blindSpots)
	f.StringVar(&simulate, "simulate-filter", "", "print what the mirror filters of `FILE` would have mirrored")
	f.IntVar(&workers, "workers", 0, "number of workers (default: one a core, less one for sinks; one where frames are only counted)")
	f.StringVar(&pace, "pace", "max", "max, real, or a factor such as 2x")
	f.Int64Var(&bareVNI, "bare-vni", -1, "the files hold inner frames of VNI `N`, not datagrams")
	f.StringVar(&sessions, "sessions", "", "session `FILE`, or the journal of a collector that asks AWS: each frame is of who held its address then")
	f.StringVar(&summary, "summary", "", "write the ledger as JSON to `FILE`, - for standard output")
	return cmd
}

// blindSpots is the report on what VPC Flow Logs leave out.
const blindSpots = "blind-spots"

// replayConfig is the configuration for a replay: no sink unless configured.
func replayConfig(path string) (*config.Config, error) {
	cfg, err := loadConfig(path)
	if err == nil && path == "" {
		cfg.Sinks.PCAP = nil
	}
	return cfg, err
}

// setOut turns the pcap sink on, writing below dir.
func setOut(cfg *config.Config, dir string) {
	if cfg.Sinks.PCAP == nil {
		pcap := config.DefaultPCAP()
		cfg.Sinks.PCAP = &pcap
	}
	cfg.Sinks.PCAP.Dir = dir
}

// setFlows turns the flowlog sink on, writing below dir.
func setFlows(cfg *config.Config, dir string) {
	if cfg.Sinks.FlowLog == nil {
		flowlog := config.DefaultFlowLog()
		cfg.Sinks.FlowLog = &flowlog
	}
	cfg.Sinks.FlowLog.Dir = dir
}

// parsePace returns the factor by which a replay is faster than its capture was,
// 0 for as fast as possible.
func parsePace(s string) (float64, error) {
	switch s {
	case "max":
		return 0, nil
	case "real":
		return 1, nil
	}
	number, ok := strings.CutSuffix(s, "x")
	factor, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(factor > 0 && factor <= 1e6) {
		return 0, fmt.Errorf("--pace %q: want max, real, or a factor such as 2x", s)
	}
	return factor, nil
}

func replay(cmd *cobra.Command, cfg config.Config, what pipeline.ReplayConfig, summary string) error {
	if err := probeSummary(summary); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once

	screen := &screen{w: cmd.ErrOrStderr()}
	log, _, lines := newLog(cfg.Log, screen)
	defer lines.flush()
	what.Stdin = untilDone(ctx, what.Stdin)
	r, err := pipeline.NewReplay(cfg, what, log)
	if err != nil {
		return err
	}
	if dirs := sinkDirs(&cfg); dirs != nil {
		log.Info("replaying", dirs...)
	} else if !what.Report && what.Simulate == "" {
		log.Info("replaying without a sink: frames are only counted; --out DIR writes them, --flows DIR their flows")
	}
	done := showProgress(ctx, screen, r)
	err = r.Run(ctx)
	done()
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted; what was read until then has been replayed")
	}
	closed := closeReplay(ctx, r)
	err = errors.Join(err, closed)
	l := r.Ledger()
	if n := l.Received.Packets; n > 0 && l.NotDelivered[packet.NotTunnel.String()] == n {
		log.Warn("no packet goes to a tunnel port; if the files hold inner frames, name their VNI: --bare-vni N")
	}
	if closed == nil { // of a damaged file too, up to the damage
		err = errors.Join(err, r.WriteReport(cmd.OutOrStdout()))
	}
	return errors.Join(err, unwritten(l), finish(l, summary, cmd.OutOrStdout()))
}

// closeReplay flushes the sinks. One that sends may take long; after a signal,
// which ends ctx, the rest is to be over in 5 s.
func closeReplay(ctx context.Context, r *pipeline.Replay) error {
	limit, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(interruptTimeout, cancel) })
	defer stop()
	return r.Close(limit)
}

// sinkDirs names the directories that are written to, as attributes of a log
// line.
func sinkDirs(cfg *config.Config) (attrs []any) {
	if cfg.Sinks.PCAP != nil {
		attrs = append(attrs, "captures", cfg.Sinks.PCAP.Dir)
	}
	if cfg.Sinks.FlowLog != nil {
		attrs = append(attrs, "flows", cfg.Sinks.FlowLog.Dir)
	}
	if cfg.Sinks.Splunk != nil {
		attrs = append(attrs, "spool", cfg.Sinks.Splunk.Spool.Dir)
		for _, e := range cfg.Sinks.Splunk.Endpoints {
			attrs = append(attrs, "splunk", e.URL)
		}
	}
	return attrs
}

// unwritten returns an error if a sink could not keep what it was given: in a
// replay nothing is live, so nothing may be missing.
func unwritten(l pipeline.Ledger) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(l.Sinks)) {
		for _, reason := range slices.Sorted(maps.Keys(l.Sinks[name].Dropped)) {
			remedy := "make room or mend it, and replay into an empty directory"
			switch reason {
			case packet.DropPolicy.String(), packet.DropBudget.String():
				continue // as configured
			case packet.DropRefused.String():
				remedy = "periscope spool show has them"
			}
			n := l.Sinks[name].Dropped[reason]
			errs = append(errs, fmt.Errorf("%s %s not written by %s: %s; %s", comma(n), units(n, unitOf(name)), name, reason, remedy))
		}
	}
	return errors.Join(errs...)
}
