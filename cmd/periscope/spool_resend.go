package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/sink/dir"
	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

func newSpoolResendCommand() *cobra.Command {
	var where place
	return where.flags(&cobra.Command{
		Use:   "resend",
		Short: "Send refused events again",
		Long: `Send the events that Splunk refused for good again, one a request, to the endpoints
of the configuration, after what was wrong has been mended there. What is refused
again, or cannot be sent, goes back; the exit status is then 1. What was taken, and
could not be struck off because the command was killed, is sent twice: event_uid
tells.`,
		Example: "  periscope spool resend --config splunk.yaml",
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if where.config == "" {
				return command.Usage(errors.New("resend needs the endpoints of a configuration; name it with --config"))
			}
			cfg, err := loadConfig(where.config)
			if err != nil {
				return err
			}
			c, err := splunkOf(cfg)
			if err != nil {
				return err
			}
			path, err := where.spool()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			aside, err := takeAside(path)
			if err != nil {
				return err
			}
			if aside == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "no event was refused")
				return nil
			}
			defer aside.Close()
			client, err := hec.New(pipeline.HECConfig(c, version))
			if err != nil {
				return err
			}
			if err := client.Tokens(); err != nil {
				client.Close()
				return err
			}
			r := resend{client: client}
			err = r.run(ctx, path, aside)
			fmt.Fprintln(cmd.OutOrStdout(), r.result())
			return err
		},
	})
}

// takeAside takes the file of refused events away from the sink, which begins a
// new one, and locks it. What an earlier resend left there goes first. It returns
// nil if there is none.
func takeAside(path string) (*os.File, error) {
	aside := filepath.Join(path, resendFile)
	err := dir.Rename(filepath.Join(path, splunk.QuarantineName), aside)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, err := os.OpenFile(aside, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch ours, err := claim(f); {
	case err != nil:
		f.Close()
		return nil, err
	case !ours:
		f.Close()
		return nil, nil
	}
	return f, nil
}

// claim locks the file that was taken aside. It reports false if another process
// has just sent and removed it.
func claim(f *os.File) (bool, error) {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return false, fmt.Errorf("%s is being sent by another process; wait for its end", f.Name())
	}
	opened, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(f.Name())
	return err == nil && os.SameFile(opened, named), nil
}

// A resend sends refused events again.
type resend struct {
	client *hec.Client

	mu      sync.Mutex
	waiting map[int][]byte // lines that are out, by number
	settled chan struct{}  // one of them came to its end
	sent    int
	back    [][]byte // lines that go back
	refused int      // of them, by an answer
	damaged int      // of them, not readable
	why     error    // of the first that goes back
}

// run sends the events of a file and puts back what was not taken. It closes the
// client.
func (r *resend) run(ctx context.Context, path string, aside *os.File) error {
	r.waiting, r.settled = make(map[int][]byte), make(chan struct{}, 1)
	lines, err := readLines(aside)
	if err != nil {
		r.client.Close()
		return err
	}
	going := true
	for n, line := range lines {
		if !going {
			r.keep(line, nil)
			continue
		}
		going = r.event(ctx, n, line)
	}
	r.settle(ctx)
	err = putBack(path, aside, r.back)
	if err == nil && len(r.back) > 0 {
		err = fmt.Errorf("spool: %d events were not taken; the first: %w", len(r.back), r.why)
	}
	return err
}

// event sends one event. It reports false when there is no use in going on.
func (r *resend) event(ctx context.Context, n int, line []byte) bool {
	q, err := parseQuarantined(line)
	if err != nil {
		r.damaged++
		r.keep(line, errors.New("a line that cannot be read"))
		return true
	}
	r.mu.Lock()
	r.waiting[n] = line
	r.mu.Unlock()
	o := sendOne(ctx, r.client, hec.Request{Events: [][]byte{q.Event}, Acked: func(ok bool) {
		var err error
		if !ok {
			err = errors.New("it was not acknowledged")
		}
		r.end(n, err)
	}})
	switch o.Class {
	case hec.AwaitAck:
		return true
	case hec.Delivered:
		r.end(n, nil)
		return true
	case hec.Split, hec.TooLarge:
		r.refused++
	}
	err = explain(&o)
	if o.Endpoint != "" {
		err = fmt.Errorf("%s: %w", o.Endpoint, err)
	}
	r.end(n, err)
	return o.Class == hec.Split || o.Class == hec.TooLarge || o.Class == hec.HoldIndex
}

// end takes in what became of a line that was out.
func (r *resend) end(n int, err error) {
	r.mu.Lock()
	line := r.waiting[n]
	delete(r.waiting, n)
	if err == nil {
		r.sent++
	}
	r.mu.Unlock()
	if err != nil {
		r.keep(line, err)
	}
	select {
	case r.settled <- struct{}{}:
	default:
	}
}

// keep has a line go back.
func (r *resend) keep(line []byte, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.back = append(r.back, line)
	if r.why == nil {
		r.why = why
	}
}

// settle waits for acknowledgements, and closes the client. What is not
// acknowledged when ctx is done goes back.
func (r *resend) settle(ctx context.Context) {
	for r.out() > 0 && ctx.Err() == nil {
		select {
		case <-r.settled:
		case <-ctx.Done():
		}
	}
	r.client.Close()
	for _, n := range slices.Sorted(maps.Keys(r.waiting)) {
		r.end(n, errors.New("it is not acknowledged yet"))
	}
}

// out returns how many lines are out.
func (r *resend) out() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

// putBack gives the lines back to the sink's file, and removes the one that was
// taken aside. If there is no room it keeps them there, for the next resend.
func putBack(path string, aside *os.File, lines [][]byte) error {
	if len(lines) == 0 {
		return os.Remove(aside.Name())
	}
	text := append(bytes.Join(lines, []byte("\n")), '\n')
	f, fi, err := splunk.OpenQuarantine(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if fi.Size()+int64(len(text)) > splunk.QuarantineMost {
		return fmt.Errorf("%s has no room for %d events: they stay in %s, and what was taken of it is sent again the next time", f.Name(), len(lines), aside.Name())
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Remove(aside.Name())
}

// result says what became of the events.
func (r *resend) result() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	parts := []string{fmt.Sprintf("%d events were taken", r.sent)}
	if r.refused > 0 {
		parts = append(parts, fmt.Sprintf("%d refused again", r.refused))
	}
	if r.damaged > 0 {
		parts = append(parts, fmt.Sprintf("%d lines cannot be read", r.damaged))
	}
	if n := len(r.back) - r.refused - r.damaged; n > 0 {
		parts = append(parts, fmt.Sprintf("%d not sent", n))
	}
	return strings.Join(parts, ", ")
}
