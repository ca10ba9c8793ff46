package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

func newReplayCommand() *cobra.Command {
	var path, out, pace, sessions, summary string
	var workers int
	var bareVNI int64
	cmd := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Take capture files instead of live traffic",
		Long: `Replay reads pcap and pcapng files, plain, gzip or zstd, - for standard input,
takes the mirrored frames out of their tunnels, and gives them to the sinks.
Without --out and without a configured sink it only counts.

The clock is the capture's, the order is that of the files. The same files give
the same output, byte for byte, whatever the number of workers.`,
		Example: `  # what is in a capture of UDP 4789?
  periscope replay mirror.pcap

  # the frames inside, by session, as pcap files
  periscope replay --out frames mirror.pcap`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("replay needs a capture file, or - for standard input")}
			}
			cfg, err := replayConfig(path)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("out") {
				setOut(cfg, out)
			}
			if cmd.Flags().Changed("workers") {
				cfg.Capture.Workers = workers
			}
			if cmd.Flags().Changed("sessions") {
				cfg.Sessions.File = sessions
			}
			if err := cfg.Validate(); err != nil {
				return usageError{err}
			}
			speed, err := parsePace(pace)
			if err != nil {
				return usageError{err}
			}
			if cmd.Flags().Changed("bare-vni") && (bareVNI < 0 || bareVNI >= 1<<24) {
				return usageError{fmt.Errorf("--bare-vni %d: want 0 to %d", bareVNI, 1<<24-1)}
			}
			return replay(cmd, *cfg, pipeline.ReplayConfig{
				Paths:   args,
				Stdin:   cmd.InOrStdin(),
				BareVNI: bareVNI,
				Pace:    speed,
			}, summary)
		},
	}
	f := cmd.Flags()
	f.StringVar(&path, "config", "", "configuration `FILE`; its sinks are used")
	f.StringVar(&out, "out", "", "write pcap files below `DIR`")
	f.IntVar(&workers, "workers", 0, "number of workers (default: one a core)")
	f.StringVar(&pace, "pace", "max", "max, real, or a factor such as 2x")
	f.Int64Var(&bareVNI, "bare-vni", -1, "the files hold inner frames of VNI `N`, not datagrams")
	f.StringVar(&sessions, "sessions", "", "session `FILE`")
	f.StringVar(&summary, "summary", "", "write the ledger as JSON to `FILE`, - for standard output")
	return cmd
}

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
	log, _ := newLog(cfg.Log, cmd.ErrOrStderr())
	r, err := pipeline.NewReplay(cfg, what, log)
	if err != nil {
		return err
	}
	if cfg.Sinks.PCAP != nil {
		log.Info("replaying", "sink", "pcap", "dir", cfg.Sinks.PCAP.Dir)
	} else {
		log.Info("replaying without a sink: frames are only counted; --out DIR writes them")
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once

	done := showProgress(ctx, cmd.ErrOrStderr(), r)
	err = r.Run(ctx)
	done()
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted; what was read until then has been replayed")
	}
	return errors.Join(err, r.Close(context.Background()), finish(r.Ledger(), summary, cmd.OutOrStdout()))
}

// showProgress keeps one line on a terminal up to date until the function it
// returns is called. On anything but a terminal it writes nothing.
func showProgress(ctx context.Context, w io.Writer, r *pipeline.Replay) (done func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		began := time.Now()
		for {
			select {
			case <-ctx.Done():
				fmt.Fprint(w, "\r\x1b[K")
				return
			case now := <-tick.C:
				read, total := r.Progress()
				fmt.Fprintf(w, "\r\x1b[K%s", progressLine(now.Sub(began), read, total, r.Ledger().Received.Packets))
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// progressLine says how far a replay is: bytes, packets a second, time left.
func progressLine(since time.Duration, read, total int64, packets uint64) string {
	line := humanize.IBytes(uint64(read))
	if total > 0 {
		line += fmt.Sprintf(" of %s (%d %%)", humanize.IBytes(uint64(total)), 100*read/total)
	}
	line += fmt.Sprintf(", %s packets/s", humanize.Comma(int64(float64(packets)/since.Seconds())))
	if total > 0 && read > 0 {
		left := time.Duration(float64(since) * float64(total-read) / float64(read))
		line += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return line
}
