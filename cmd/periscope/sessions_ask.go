package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

const (
	askTimeout = 30 * time.Second
	maxAnswer  = 256 << 20 // some 300,000 sessions
)

// show asks the collector and prints what it says.
func (c *sessionsCommand) show(ctx context.Context, w io.Writer) error {
	base, tokenFile, err := c.where()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a := asker{base: base, tokenFile: tokenFile}
	answer, list, err := a.sessions(ctx, c.all)
	if err != nil {
		return err
	}
	if c.json {
		_, err = w.Write(answer)
		return err
	}
	return printSessions(w, list)
}

// An asker asks a collector's API.
type asker struct{ base, tokenFile string }

// sessions returns the collector's answer, as it is and as a list.
func (a *asker) sessions(ctx context.Context, all bool) (answer []byte, list pipeline.SessionList, err error) {
	path := "/api/v1/sessions"
	if all {
		path += "?all"
	}
	status, kind, answer, err := a.get(ctx, path)
	if err == nil && status == http.StatusNotFound {
		err = a.missing(ctx)
	} else if err == nil {
		err = a.explain(status, answer)
	}
	if err != nil {
		return nil, list, err
	}
	if media, _, _ := mime.ParseMediaType(kind); media != "application/json" || json.Unmarshal(answer, &list) != nil || list.Sessions == nil || list.Time.IsZero() {
		return nil, list, a.foreign()
	}
	return answer, list, nil
}

// get asks for a path.
func (a *asker) get(ctx context.Context, path string) (status int, kind string, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return 0, "", nil, command.Usage(fmt.Errorf("--admin: %w", err))
	}
	if a.tokenFile != "" {
		token, err := os.ReadFile(a.tokenFile)
		if err != nil {
			return 0, "", nil, fmt.Errorf("token of the collector: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	request.Header.Set("User-Agent", "periscope/"+version)
	// Without a proxy, and a transport follows nothing: the token goes nowhere else.
	transport := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", nil, a.unreachable(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return 0, "", nil, a.unreachable(err)
	}
	if len(body) > maxAnswer {
		return 0, "", nil, a.foreign()
	}
	return response.StatusCode, response.Header.Get("Content-Type"), body, nil
}

// unreachable says why there is no answer.
func (a *asker) unreachable(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no collector answers at %s: the connection is refused; see that periscope runs, and name its admin.listen with --admin or its configuration with --config", a.base)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no collector answers at %s in %s; see that the address is right and that nothing between filters it", a.base, askTimeout)
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "readLoopPeekFail"):
		return a.foreign() // the latter of one that speaks before it is asked
	}
	return fmt.Errorf("ask the collector at %s: %w", a.base, err)
}

// explain says what a status other than 200 means.
func (a *asker) explain(status int, body []byte) error {
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusUnauthorized && a.tokenFile == "":
		return fmt.Errorf("the collector at %s wants a token: name the file of admin.token_file with --token-file, or the configuration with --config", a.base)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("the collector at %s does not take the token of %s; it must be the one in its admin.token_file", a.base, a.tokenFile)
	case status == http.StatusServiceUnavailable && strings.HasPrefix(string(body), "no token is configured"):
		return fmt.Errorf("the collector at %s lets nobody in: its admin.token_file holds no token; its log says why", a.base)
	case status == http.StatusServiceUnavailable && strings.HasPrefix(string(body), "too many requests"):
		return fmt.Errorf("the collector at %s has too many requests at once; try again", a.base)
	}
	return a.foreign()
}

// missing says why there is no list: the collector is of an earlier version, or
// it is none.
func (a *asker) missing(ctx context.Context) error {
	status, _, body, err := a.get(ctx, "/api/v1/ledger")
	ledger := struct{ Balanced *bool }{}
	if err == nil && status == http.StatusOK && json.Unmarshal(body, &ledger) == nil && ledger.Balanced != nil {
		return fmt.Errorf("the collector at %s is of an earlier version and lists no sessions; upgrade it, %s/api/v1/ledger has its counts", a.base, a.base)
	}
	return cmp.Or(err, a.foreign())
}

// foreign says that something else answers.
func (a *asker) foreign() error {
	return fmt.Errorf("what answers at %s is not a periscope collector; name its admin.listen with --admin or its configuration with --config", a.base)
}
