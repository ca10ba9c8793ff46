package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
)

// A sessionsCommand is `periscope sessions` and its flags.
type sessionsCommand struct {
	config, admin, tokenFile string
	json, all                bool

	journal, at, address string
}

func newSessionsCommand() *cobra.Command {
	var c sessionsCommand
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "Show the sessions that a running collector knows, and what is wrong with them",
		Long: `Sessions asks the running collector which mirror sessions it knows, whose they are
and what came of each, then says what is wrong: sessions without traffic, VNIs that
nothing explains, sources that do not fit, one direction alone, identities that AWS
has not confirmed lately. At the end it tells how it stands with AWS.

With --journal it reads the journal of a collector instead, whether one runs or not:
who held which address from when until when. Times without a zone are UTC.`,
		Example: `  periscope sessions
  periscope sessions --config /etc/periscope/periscope.yaml --json
  periscope sessions --journal /var/lib/periscope/sessions.journal --at "2026-11-20 14:05" --address 10.0.3.7`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.check(cmd); err != nil {
				return command.Usage(err)
			}
			if c.journal != "" {
				return c.showJournal(cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return c.show(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.config, "config", "", "configuration `FILE` of the collector, for admin.listen and admin.token_file")
	f.StringVar(&c.admin, "admin", "", "`URL` of the collector's admin.listen (default: http://127.0.0.1:9477)")
	f.StringVar(&c.tokenFile, "token-file", "", "`FILE` with the token of admin.token_file")
	f.BoolVar(&c.json, "json", false, "print JSON")
	f.BoolVar(&c.all, "all", false, "show sessions that are over as well")
	f.StringVar(&c.journal, "journal", "", "read this journal `FILE` instead of asking a collector")
	f.StringVar(&c.at, "at", "", "of a journal: who held an address at this `TIME`, such as 2026-11-20T14:05:00Z")
	f.StringVar(&c.address, "address", "", "of a journal: who held this `ADDR`")
	return cmd
}

// check says which flags do not go together.
func (c *sessionsCommand) check(cmd *cobra.Command) error {
	flags := cmd.Flags()
	of := map[bool][]string{true: {"config", "admin", "token-file", "all"}, false: {"at", "address"}}[c.journal != ""]
	for _, name := range of {
		if !flags.Changed(name) {
			continue
		}
		if c.journal != "" {
			return fmt.Errorf("--%s is for a running collector: leave it out with --journal", name)
		}
		return fmt.Errorf("--%s is for a journal: name one with --journal", name)
	}
	return nil
}

// defaultAdmin is where a collector answers by default.
const defaultAdmin = "http://127.0.0.1:9477"

// where returns the URL of the collector and the file of its token, which may be
// empty.
func (c *sessionsCommand) where() (base, tokenFile string, err error) {
	base, tokenFile = c.admin, c.tokenFile
	if c.config != "" {
		cfg, err := loadConfig(c.config)
		if err != nil {
			return "", "", err
		}
		if tokenFile == "" {
			tokenFile = cfg.Admin.TokenFile
		}
		if base == "" {
			if cfg.Admin.Listen == "" {
				return "", "", command.Usage(fmt.Errorf("admin.listen: off in %s, so the collector cannot be asked; set it, or name another with --admin", c.config))
			}
			base = localURL(cfg.Admin.Listen)
		}
	}
	if base == "" {
		base = defaultAdmin
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", command.Usage(fmt.Errorf("--admin: want a URL such as %s", defaultAdmin))
	}
	return strings.TrimSuffix(base, "/"), tokenFile, nil
}

// localURL returns where a collector on this machine answers that listens on an
// address, which may be that of every interface.
func localURL(listen string) string {
	host, port, _ := net.SplitHostPort(listen) // config has validated it
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "127.0.0.1"
		if addr.Is6() {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// timeForms are the ways to write a time, of which those without a zone are UTC.
var timeForms = []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"}

// parseTime reads a time that someone typed.
func parseTime(text string) (time.Time, error) {
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New(`want a time such as 2026-11-20T14:05:00Z or "2026-11-20 14:05", which is UTC`)
}
