package hec

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of a token file, which is read anew every tokensEvery.
const (
	maxTokenFile = 64 << 10
	maxTokens    = 16
	maxToken     = 512
	tokensEvery  = 5 * time.Second
)

// tokens are the lines of a token file. Its methods may be called at once.
type tokens struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	list   []string // as in the file, replaced whole
	number int      // of the list, counted up; 0 before there is one
	read   time.Time
	failed bool // the last read failed, and that was logged

	reloads, failures uint64
}

// load reads the file if it was not read for a while, or if told to. A file that
// cannot be read leaves the tokens as they were.
func (t *tokens) load(force bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !force && now.Sub(t.read) < tokensEvery {
		return nil
	}
	t.read = now
	list, err := readTokens(t.path)
	if err != nil {
		switch {
		case t.failed:
		case t.list == nil:
			t.log.Warn("no token for splunk yet, events are kept until the token file has one", "error", err)
		default:
			t.log.Warn("token file not read, its last tokens are used on", "error", err)
		}
		t.failed = true
		t.failures++
		return err
	}
	t.failed = false
	if !slices.Equal(list, t.list) {
		if t.list != nil {
			t.reloads++
		}
		t.list = list
		t.number++
	}
	return nil
}

// refresh reads the file if its time has come, and returns the number of the list.
func (t *tokens) refresh() int {
	t.load(false) // a failure is logged, and the tokens stay
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.number
}

// current returns the tokens as in the file, and the number of the list. The list
// is not to be changed.
func (t *tokens) current() ([]string, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list, t.number
}

// counts returns how often the file brought other tokens, and could not be read.
func (t *tokens) counts() (reloads, failures uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reloads, t.failures
}

func readTokens(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("token file: %w; put the token there, readable for this service", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	list, err := parseTokens(b)
	if err != nil {
		return nil, fmt.Errorf("token file %s: %w", path, err)
	}
	return list, nil
}

// parseTokens reads one token a line; empty lines are skipped. Its errors name
// lines, never what is on them.
func parseTokens(b []byte) ([]string, error) {
	if len(b) > maxTokenFile {
		return nil, fmt.Errorf("larger than %d bytes; put one token on a line", maxTokenFile)
	}
	var list []string
	n := 0
	for line := range bytes.Lines(b) {
		n++
		token := strings.TrimSpace(string(line))
		if token == "" {
			continue
		}
		if len(token) < 8 || len(token) > maxToken || strings.IndexFunc(token, notTokenRune) >= 0 {
			return nil, fmt.Errorf("line %d is no token: 8 to %d letters, digits and hyphens; put one token on a line", n, maxToken)
		}
		if !slices.Contains(list, token) {
			list = append(list, token)
		}
		if len(list) > maxTokens {
			return nil, fmt.Errorf("more than %d tokens; remove old ones", maxTokens)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no token in it; put one token on a line")
	}
	return list, nil
}

func notTokenRune(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_' && r != '.'
}

// redact takes tokens out of a text that came from elsewhere.
func redact(text string, tokens ...string) string {
	for _, token := range tokens {
		text = strings.ReplaceAll(text, token, "(token)")
	}
	return text
}
