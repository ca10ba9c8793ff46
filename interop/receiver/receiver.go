// Package receiver runs the HEC receiver of the OpenTelemetry Collector, which
// this project did not write, on an address and hands over what arrives, event
// by event. It owns one listener and the goroutines of the receiver, until Close.
//
// It takes what Splunk takes and is milder: any index, any path, and a gzip body
// that is cut (which it answers as delivered). With Acks it acknowledges what it
// answered. It is not a server of codes: sink/splunk/hec/hectest is.
package receiver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/ackextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
)

// A Config says how to receive.
type Config struct {
	Addr   string   // host:port, without a name or port 0
	Tokens []string // any of which is taken; at least one
	Acks   bool     // answers a request with a channel with an ackId
}

// A Receiver runs until Close.
type Receiver struct {
	parts []component.Component // in order of their start
}

// Start listens. take gets the events of each request, before the request is
// answered, from several goroutines at once; with an error from it the request is
// refused with status 500.
func Start(c Config, take func([]Event) error) (*Receiver, error) {
	config := splunkhecreceiver.NewFactory().CreateDefaultConfig().(*splunkhecreceiver.Config)
	config.Endpoint = c.Addr
	host := extensions{}
	r := &Receiver{}
	var err error
	if config.Auth, err = r.authenticator(host, c.Tokens); err != nil {
		return nil, err
	}
	if c.Acks {
		id := component.NewID(ackextension.NewFactory().Type())
		config.Extension = &id
		if err := r.extend(host, id, ackextension.NewFactory(), ackextension.NewFactory().CreateDefaultConfig()); err != nil {
			return nil, err
		}
	}
	logs, err := consumer.NewLogs(func(_ context.Context, l plog.Logs) error { return take(events(l)) })
	if err != nil {
		return nil, err
	}
	set := receiver.Settings{ID: component.NewID(splunkhecreceiver.NewFactory().Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	part, err := splunkhecreceiver.NewFactory().CreateLogs(context.Background(), set, config, logs)
	if err != nil {
		return nil, err
	}
	r.parts = append(r.parts, part)
	for i, part := range r.parts {
		if err := part.Start(context.Background(), host); err != nil {
			r.parts = r.parts[:i]
			return nil, fmt.Errorf("receiver on %s: %w", c.Addr, errors.Join(err, r.Close()))
		}
	}
	return r, nil
}

// Close ends the receiver; requests under way are answered first.
func (r *Receiver) Close() error {
	var errs []error
	for _, part := range slices.Backward(r.parts) {
		errs = append(errs, part.Shutdown(context.Background()))
	}
	r.parts = nil
	return errors.Join(errs...)
}

// authenticator makes the extension that knows the tokens.
func (r *Receiver) authenticator(host extensions, tokens []string) (auth configoptional.Optional[confighttp.AuthConfig], err error) {
	f := bearertokenauthextension.NewFactory()
	config := f.CreateDefaultConfig().(*bearertokenauthextension.Config)
	config.Scheme = "Splunk"
	for _, token := range tokens {
		config.Tokens = append(config.Tokens, configopaque.String(token))
	}
	if err := config.Validate(); err != nil {
		return auth, err
	}
	id := component.NewID(f.Type())
	auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: id}})
	return auth, r.extend(host, id, f, config)
}

func (r *Receiver) extend(host extensions, id component.ID, f extension.Factory, config component.Config) error {
	part, err := f.Create(context.Background(), extension.Settings{ID: id, TelemetrySettings: componenttest.NewNopTelemetrySettings()}, config)
	if err != nil {
		return err
	}
	host[id] = part
	r.parts = append(r.parts, part)
	return nil
}

// extensions is what a receiver finds in the program around it.
type extensions map[component.ID]component.Component

// GetExtensions returns them.
func (e extensions) GetExtensions() map[component.ID]component.Component { return maps.Clone(e) }
