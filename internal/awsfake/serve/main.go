// Serve is the endpoint of package awsfake as a program, for trying it by hand:
//
//	go run ./internal/awsfake/serve -listen 127.0.0.1:4566 -state state.json
//
// The state is read from the file, if there is one, and written back at the end.
// Accounts are those of the file, and the one of -account. It prints the
// environment that leads other programs to it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:4566", "`address` to listen on")
	state := flag.String("state", "", "`file` to keep the state in")
	account := flag.String("account", awsfake.HomeAccount, "`number` of an account to have")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serve(ctx, os.Stdout, *listen, *state, *account)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "awsfake:", err)
		os.Exit(1)
	}
}

// serve serves until the context ends.
func serve(ctx context.Context, out io.Writer, listen, path, account string) error {
	fake := awsfake.New(nil)
	if path != "" {
		if err := fake.Load(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	fake.Change(func(s *awsfake.State) { s.Region(account, awsfake.HomeRegion) })
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: fake, ReadHeaderTimeout: time.Minute}
	unwatch := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer unwatch()
	for _, variable := range awsfake.Environ("http://"+listener.Addr().String(), account) {
		fmt.Fprintln(out, "export", variable)
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if path == "" {
		return nil
	}
	return fake.Save(path)
}
