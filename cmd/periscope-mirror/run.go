package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
)

func newRunCommand() *cobra.Command {
	var p places
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Look again and again, and do what is to be done",
		Long: `Look at everything every so often, and make, change and delete mirror sessions so
that they are what the rules want. What is done goes to the log on standard error.

SIGINT and SIGTERM end it; it can be stopped anywhere. SIGHUP reads the rules again:
if they are wrong, the old ones stay in force.`,
		Example: "  periscope-mirror run --rules mirror.yaml --every 30s --changes changes",
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < minEvery {
				return command.Usage(fmt.Errorf("--every %s: want %s or more", every, minEvery))
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends it at once
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			return run(ctx, p, every, hangups, newLog(cmd.ErrOrStderr(), slog.LevelInfo))
		},
	}
	rulesFlag(cmd, &p.rules)
	changesFlag(cmd, &p.changes)
	cmd.Flags().DurationVar(&every, "every", 30*time.Second, "how often to look")
	return cmd
}

// minEvery is how often a look may be at most: one asks for every task there is.
const minEvery = time.Second

// run follows the tasks until the context ends. A start in vain is repeated, unless
// the rules are at fault.
func run(ctx context.Context, p places, every time.Duration, hangups <-chan os.Signal, log *slog.Logger) error {
	var m *mirrorer
	for {
		var err error
		if m, err = open(ctx, p, log); err == nil {
			break
		}
		if command.IsUsage(err) {
			return err
		}
		log.Error("not started yet, and tried again", "in", every, "error", command.OneLine(err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
	log.Info("following the tasks", "rules", p.rules, "every", every, "version", version)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.reloadOn(ctx, hangups, log)
	}()
	m.Run(ctx, every, nil)
	<-ended
	log.Info("ended")
	return nil
}

// reloadOn reads the rules again at every signal, until the context ends.
func (m *mirrorer) reloadOn(ctx context.Context, hangups <-chan os.Signal, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		if _, err := m.reload(ctx); err != nil {
			log.Error("rules not reloaded, the old ones stay in force", "error", command.OneLine(err))
		} else {
			log.Info("rules reloaded")
		}
	}
}
