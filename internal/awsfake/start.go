package awsfake

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// HomeAccount and HomeRegion are what a server's environment names.
const (
	HomeAccount = "111122223333"
	HomeRegion  = "us-east-1"
)

// A Server is a Fake on loopback.
type Server struct {
	*Fake
	URL string

	t      testing.TB
	server *http.Server
	served chan struct{}
}

// Start serves a Fake that knows the account HomeAccount until the end of t, and
// sets the environment by which the SDK finds it and nothing else: no file, no
// profile, no other credentials. The time is the machine's.
func Start(t testing.TB) *Server { return StartAt(t, nil) }

// StartAt is Start with a clock.
func StartAt(t testing.TB, now func() time.Time) *Server {
	t.Helper()
	s := &Server{Fake: New(now), t: t}
	s.Change(func(state *State) { state.Region(HomeAccount, HomeRegion) })
	s.listen(reserve(t))
	t.Cleanup(s.Down)
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			t.Setenv(name, "") // puts it back at the end
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, variable := range s.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	return s
}

// reserve returns an address of loopback whose port nobody else is given until the end
// of t, also while nobody listens there: a socket has it that never does.
func reserve(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fd)                     // rather than with a flag, which not every system has
	t.Cleanup(func() { _ = unix.Close(fd) }) // a socket's does not fail
	// As a listener has it, so that one can take the port.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// Environ returns the variables that lead a program to the server; children of
// the test have them already.
func (s *Server) Environ() []string { return Environ(s.URL, HomeAccount) }

// Environ returns the variables that lead a program to an endpoint, with an
// account's credentials. The command line before 2.13 does not know
// AWS_ENDPOINT_URL: it wants --endpoint-url.
func Environ(url, account string) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + url,
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + url,
		"AWS_ACCESS_KEY_ID=AKIA" + account,
		"AWS_SECRET_ACCESS_KEY=secret",
		"AWS_REGION=" + HomeRegion,
		"AWS_DEFAULT_REGION=" + HomeRegion,
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_PAGER=",
		"NO_PROXY=*",
	}
}

// Down ends every connection and refuses new ones, until Up.
func (s *Server) Down() {
	if s.server == nil {
		return
	}
	_ = s.server.Close() // what is left open is what it closes
	<-s.served
	s.server = nil
}

// Up serves again where it did.
func (s *Server) Up() { s.listen(strings.TrimPrefix(s.URL, "http://")) }

func (s *Server) listen(address string) {
	s.t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.URL = "http://" + listener.Addr().String()
	server := &http.Server{Handler: s.Fake, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	s.server, s.served = server, served
	go func() {
		defer close(served)
		_ = server.Serve(listener) // until Down
	}()
}
