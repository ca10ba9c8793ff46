package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// maxConnections bounds what a listener takes of descriptors and, at up to
// 32 KiB of headers and buffers each, of memory: 8 MiB. More wait in the kernel.
const maxConnections = 256

// A Server serves one address.
type Server struct {
	listener net.Listener
	server   http.Server
}

// Listen opens an address; Serve then answers on it. key names the
// configuration key in errors. log gets what goes wrong with connections.
func Listen(key, address string, handler http.Handler, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; choose another address in the configuration", key, err)
	}
	s := &Server{listener: netutil.LimitListener(l, maxConnections), server: http.Server{
		Handler:           handler,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      30 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}}
	// A connection that stays would hold one of few places, and whoever reaches
	// health.listen may open one.
	s.server.SetKeepAlivesEnabled(false)
	return s, nil
}

// Addr returns the address that is served.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers until Close.
func (s *Server) Serve() error {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close lets requests finish until ctx is done, then ends them. It may come
// without Serve.
func (s *Server) Close(ctx context.Context) error {
	defer s.listener.Close() // Serve may never have taken it
	if err := s.server.Shutdown(ctx); err != nil {
		return s.server.Close()
	}
	return nil
}
