package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/service"
)

func newRunCommand() *cobra.Command {
	var path, listen, out, flows, backend, iface, summary string
	var workers int
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Collect live traffic",
		Long: `Run listens on UDP 4789 (VXLAN) and 6081 (GENEVE) and keeps what AWS mirrors
there. Without a configuration it accepts every VNI from private, shared, loopback
and unique-local addresses, writes captures/, and serves metrics and health on
127.0.0.1:9477.

SIGINT flushes and exits. SIGTERM becomes unready, reads on for the configured
drain time, then does the same. SIGHUP reloads the configuration. A second SIGINT
or SIGTERM exits at once.`,
		Example: `  periscope run
  periscope run --config /etc/periscope/periscope.yaml`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			override := func(cfg *config.Config) error {
				flags := cmd.Flags()
				if flags.Changed("listen") {
					cfg.Capture.Listen = []string{listen}
				}
				if flags.Changed("out") {
					setOut(cfg, out)
				}
				if flags.Changed("flows") {
					setFlows(cfg, flows)
				}
				if flags.Changed("backend") {
					cfg.Capture.Backend = backend
				}
				if flags.Changed("interface") {
					cfg.Capture.Interface = iface
				}
				if flags.Changed("workers") {
					cfg.Capture.Workers = workers
				}
				if err := cfg.Validate(); err != nil {
					return command.Usage(err)
				}
				return nil
			}
			load := func() (*config.Config, error) {
				cfg, err := loadConfig(path)
				if err == nil {
					err = override(cfg)
				}
				return cfg, err
			}
			return run(cmd, load, summary)
		},
	}
	f := cmd.Flags()
	f.StringVar(&path, "config", "", "configuration `FILE` (default: built-in defaults)")
	f.StringVar(&listen, "listen", "", "VXLAN address to listen on, `HOST:PORT` or :PORT")
	f.StringVar(&out, "out", "", "write pcap files below `DIR`")
	f.StringVar(&flows, "flows", "", "write flow-log files below `DIR`")
	f.StringVar(&backend, "backend", "", "auto, udp, afpacket or xdp")
	f.StringVar(&iface, "interface", "", "interface that afpacket and xdp take over (default: that of the default route)")
	f.IntVar(&workers, "workers", 0, "number of workers (default: one a core)")
	f.StringVar(&summary, "summary", "", "write the ledger as JSON to `FILE` at the end, - for standard output")
	return cmd
}

// run collects until a signal ends it, and shows the ledger.
func run(cmd *cobra.Command, load func() (*config.Config, error), summary string) error {
	// While things are opened, SIGINT and SIGTERM end the program as they end
	// any; a SIGHUP waits.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)

	cfg, err := load()
	if err != nil {
		return err
	}
	if err := probeSummary(summary); err != nil {
		return err
	}
	log, level, lines := newLog(cfg.Log, cmd.ErrOrStderr())
	defer lines.flush()
	s, err := service.New(*cfg, version, log)
	if err != nil {
		return err
	}
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	tellWhere(log, s, cfg)
	c := control{service: s, log: log, lines: lines, reload: func() error {
		cfg, err := load()
		if err == nil {
			err = s.Reload(*cfg)
		}
		if err == nil {
			setLevel(level, cfg.Log)
		}
		return err
	}}
	go c.run(signals)
	err = s.Run()
	return errors.Join(err, finish(s.Ledger(), summary, cmd.OutOrStdout()))
}

// tellWhere says where the traffic comes in and where everything goes.
func tellWhere(log *slog.Logger, s *service.Service, cfg *config.Config) {
	attrs := []any{"backend", s.Backend(), "version", version}
	if dirs := sinkDirs(cfg); dirs != nil {
		attrs = append(attrs, dirs...)
	} else {
		log.Warn("no sink is configured: frames are counted and not kept; --out DIR (sinks.pcap) keeps them, --flows DIR (sinks.flowlog) their flows")
	}
	if at := s.AdminAddr(); at != "" {
		attrs = append(attrs, "metrics", "http://"+at+"/metrics", "health", "http://"+at+"/readyz")
	}
	log.Info("collecting", attrs...)
}

// interruptTimeout bounds the stop after SIGINT, which is to be over in 5 s: the
// rest is for HTTP and the account.
const interruptTimeout = 4500 * time.Millisecond

// A control turns signals into calls. None of them may keep it from the next
// signal.
type control struct {
	service *service.Service
	log     *slog.Logger
	lines   *lineWriter // of the log
	reload  func() error
}

// run handles signals. The second one that ends the program ends it at once.
func (c *control) run(signals <-chan os.Signal) {
	reloads := make(chan struct{}, 1)
	go c.reloadOn(reloads)
	stopping := false
	for sig := range signals {
		switch {
		case sig == syscall.SIGHUP:
			if stopping {
				continue
			}
			select {
			case reloads <- struct{}{}:
			default: // one is waiting, which will read what is there then
			}
		case stopping:
			fmt.Fprintf(c.lines, "periscope: %s again: exiting at once; capture files not completed keep the suffix .partial\n", sig)
			c.lines.flush()
			os.Exit(command.ExitFailure)
		case sig == os.Interrupt:
			stopping = true
			go c.service.Stop(0, interruptTimeout)
			c.log.Info("stopping", "signal", "SIGINT")
		default:
			stopping = true
			cfg := c.service.Config()
			go c.service.Stop(time.Duration(cfg.Drain), time.Duration(cfg.StopTimeout))
			c.log.Info("stopping", "signal", "SIGTERM", "drain", cfg.Drain, "stop_timeout", cfg.StopTimeout)
		}
	}
}

func (c *control) reloadOn(reloads <-chan struct{}) {
	for range reloads {
		c.service.Reloading()
		if err := c.reload(); err != nil {
			c.log.Error("configuration not reloaded, the old one stays in force", "error", command.OneLine(err))
		} else {
			c.log.Info("configuration reloaded")
		}
		c.service.Reloaded()
	}
}
