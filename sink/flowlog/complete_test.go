package flowlog

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/dir"
)

// A completion is a sink of JSON one of whose files could not be completed at
// the first attempt.
type completion struct {
	*testing.T
	sink  *Sink
	dir   string
	fault atomic.Pointer[func(*os.File) error] // instead of a sync
	log   text
}

// A text is what was logged, for any goroutine.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// failed runs f in fake time with a completion that has met fault.
func failed(t *testing.T, fault func(*os.File) error, f func(*completion)) {
	synctest.Test(t, func(t *testing.T) {
		c := &completion{T: t, dir: t.TempDir()}
		c.fault.Store(&fault)
		var err error
		c.sink, err = Open(Config{
			Dir: c.dir, Format: JSON, OpenFiles: 1, Log: slog.New(slog.NewTextHandler(&c.log, nil)),
			sync: func(f *os.File) error {
				if fault := c.fault.Load(); fault != nil {
					return (*fault)(f)
				}
				return f.Sync()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, account := range []string{"1", "2"} {
			now := time.Now().UnixNano()
			c.sink.Flow(0, &packet.Flow{Session: &packet.Session{Workload: packet.Workload{AccountID: account}}})
			c.sink.Mark(0, 0, now)
			c.sink.Mark(0, 0, now+int64(i+1)*int64(time.Second))
			c.wait(time.Second)
		}
		c.want(Stats{FilesOpen: 1, Failing: 1})
		if n := strings.Count(c.log.String(), "could not be completed"); n != 1 || !strings.Contains(c.log.String(), "again=true") {
			t.Errorf("log\n%s", &c.log)
		}
		f(c)
	})
}

func (c *completion) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (c *completion) want(want Stats) {
	c.Helper()
	got := c.sink.Stats()
	got = Stats{FilesOpen: got.FilesOpen, FilesCompleted: got.FilesCompleted, FilesIncomplete: got.FilesIncomplete, Failing: got.Failing}
	if got != want {
		c.Errorf("%+v, want %+v; log\n%s", got, want, &c.log)
	}
}

// files returns the paths of the first account's files.
func (c *completion) files() []string {
	all, _ := filepath.Glob(c.dir + "/AWSLogs/1/vpcflowlogs/unknown/*/*/*/*")
	return all
}

// wantWhole holds that there is one file, complete and with its line.
func (c *completion) wantWhole() {
	c.Helper()
	all := c.files()
	if len(all) != 1 || !strings.HasSuffix(all[0], ".json.gz") {
		c.Fatalf("files %q", all)
	}
	data, err := os.ReadFile(all[0])
	if err != nil {
		c.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		c.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || bytes.Count(text, []byte{'\n'}) != 1 {
		c.Errorf("%q, %v", text, err)
	}
}

// close holds that Close returns what is want, in one line.
func (c *completion) close(want error) {
	c.Helper()
	err := c.sink.Close(context.Background())
	if !errors.Is(err, want) || err != nil && strings.Contains(err.Error(), "\n") {
		c.Errorf("Close returns %v, want %v", err, want)
	}
}

func fail(err error) func(*os.File) error { return func(*os.File) error { return err } }

// After a sync that failed the next one of the same file tells nothing, so that
// another file takes its place.
func TestFailedSyncIsTriedAgain(t *testing.T) {
	for _, fault := range []error{unix.EIO, unix.ENOSPC} {
		failed(t, fail(fault), func(c *completion) {
			file, err := os.Open(c.files()[0]) // open, so that no other file gets its number
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			before, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			c.wait(3 * completeRetry)
			c.want(Stats{FilesOpen: 1, Failing: 1})
			c.fault.Store(nil)
			c.wait(completeRetry)
			c.want(Stats{FilesOpen: 1, FilesCompleted: 1})
			c.wantWhole()
			if after, err := os.Stat(c.files()[0]); err != nil || os.SameFile(before, after) {
				t.Errorf("the file is the one whose sync failed, or %v", err)
			}
			if n := strings.Count(c.log.String(), "could not be completed"); n != 1 {
				t.Errorf("said %d times; log\n%s", n, &c.log)
			}
			c.close(nil)
			c.want(Stats{FilesCompleted: 2})
		})
	}
}

// A file that cannot be renamed is tried again too.
func TestFailedRenameIsTriedAgain(t *testing.T) {
	var place string
	block := func(f *os.File) error {
		place = filepath.Dir(f.Name())
		return errors.Join(f.Sync(), os.Rename(place, place+".away"), os.WriteFile(place, nil, 0o600))
	}
	failed(t, block, func(c *completion) {
		c.fault.Store(nil)
		c.wait(2 * completeRetry)
		c.want(Stats{FilesOpen: 1, Failing: 1})
		if err := errors.Join(os.Remove(place), os.Rename(place+".away", place)); err != nil {
			t.Fatal(err)
		}
		c.wait(completeRetry)
		c.want(Stats{FilesOpen: 1, FilesCompleted: 1})
		c.wantWhole()
		c.close(nil)
	})
}

// Close tries once more.
func TestFailedSyncAtTheEnd(t *testing.T) {
	failed(t, fail(unix.EIO), func(c *completion) {
		c.fault.Store(nil)
		c.close(nil)
		c.want(Stats{FilesCompleted: 2})
		c.wantWhole()
	})
	failed(t, fail(unix.EIO), func(c *completion) {
		c.close(unix.EIO)
		c.want(Stats{FilesIncomplete: 2})
		if got, err := salvage(c.dir, slog.New(slog.DiscardHandler)); err != nil || got.finished != 2 {
			t.Errorf("the next start: %+v, %v", got, err)
		}
		c.wantWhole()
	})
}

// A file that is not what was written any more is given up, and said so.
func TestFailedSyncOfLostFile(t *testing.T) {
	for name, test := range map[string]struct {
		act  func(path string) error
		want error
	}{
		"lost": {func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt(make([]byte, 40), 30) // as the disk had it
			return err
		}, errLost},
		"replaced": {func(path string) error {
			data, err := os.ReadFile(path)
			return errors.Join(err, os.Rename(path, path+".old"), os.WriteFile(path, data, 0o600))
		}, dir.ErrGone},
		"cut":     {func(path string) error { return os.Truncate(path, 30) }, dir.ErrGone},
		"removed": {os.Remove, os.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			failed(t, fail(unix.EIO), func(c *completion) {
				if err := test.act(c.files()[0]); err != nil {
					t.Fatal(err)
				}
				before := len(c.files())
				c.fault.Store(nil)
				c.wait(completeRetry)
				c.want(Stats{FilesOpen: 1, FilesIncomplete: 1})
				if !strings.Contains(c.log.String(), "again=false") || len(c.files()) != before {
					t.Errorf("files %q, log\n%s", c.files(), &c.log)
				}
				c.close(test.want)
			})
		})
	}
}

// Files beyond those that are tried again are for the next start.
func TestFailedAreBounded(t *testing.T) {
	c := completer{sink: &Sink{}, log: slog.New(slog.DiscardHandler), sync: fail(unix.EIO), failed: make([]job, maxFailed-1)}
	for range 2 {
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		c.complete(job{file: f})
	}
	if n := c.sink.files.incomplete.Load(); len(c.failed) != maxFailed || n != 1 || !errors.Is(c.lost, unix.EIO) {
		t.Errorf("%d wait, %d given up, error %v", len(c.failed), n, c.lost)
	}
}
