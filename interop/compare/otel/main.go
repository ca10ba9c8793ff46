// Command otel sends the events of flow records through the OpenTelemetry
// Collector's splunk_hec exporter.
package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/splunkhecexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/periscope-collector/periscope/interop/compare/round"
	"github.com/periscope-collector/periscope/interop/receiver"
	"github.com/periscope-collector/periscope/interop/sample"
	"github.com/periscope-collector/periscope/record"
)

func main() {
	fresh := flag.Bool("fresh", false, "hand over a copy of each batch")
	round.Main(func(url, _ string) (func(round.Load) error, error) { return ready(url, fresh) })
}

// ready starts the exporter with its defaults, but for a queue that waits when it is
// full, since it is to lose nothing. The log records are made before.
func ready(url string, fresh *bool) (func(round.Load) error, error) {
	f := splunkhecexporter.NewFactory()
	config := f.CreateDefaultConfig().(*splunkhecexporter.Config)
	config.Endpoint = url
	config.Token = configopaque.String(round.Token)
	config.QueueSettings.BlockOnOverflow = true
	set := exporter.Settings{ID: component.NewID(f.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	ctx := context.Background()
	e, err := f.CreateLogs(ctx, set, config)
	if err != nil {
		return nil, err
	}
	if err := e.Start(ctx, componenttest.NewNopHost()); err != nil {
		return nil, err
	}
	batches, err := logs()
	if err != nil {
		return nil, err
	}
	return func(l round.Load) error {
		for n := range l.Steps() {
			b := batches[n/round.Step%len(batches)]
			if *fresh {
				b = plog.NewLogs()
				batches[n/round.Step%len(batches)].CopyTo(b)
			}
			if err := e.ConsumeLogs(ctx, b); err != nil {
				return err
			}
		}
		return e.Shutdown(ctx) // sends what the queue has
	}, nil
}

// logs returns the events as log records.
func logs() ([]plog.Logs, error) {
	events := record.NewEvents(record.EventConfig{Host: round.Host, FlowIndex: round.Index})
	session := sample.Session()
	var batches []plog.Logs
	for i := range round.Kinds {
		if i%round.Step == 0 {
			batches = append(batches, batch())
		}
		r := sample.Flow(session, i)
		uid := fmt.Appendf(nil, "0123456789abcdef-%x-%x", i/round.Kinds, i*1000) // as long as the sink's
		e, err := receiver.Parse(events.AppendFlow(nil, &r, uid))
		if err != nil {
			return nil, err
		}
		l := batches[len(batches)-1].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
		l.SetTimestamp(pcommon.Timestamp(e.Time * 1000))
		if err := l.Body().FromRaw(e.Event); err != nil {
			return nil, err
		}
	}
	for _, b := range batches {
		b.MarkReadOnly()
	}
	return batches, nil
}

// batch returns an empty batch, which says what the events have in common.
func batch() plog.Logs {
	l := plog.NewLogs()
	r := l.ResourceLogs().AppendEmpty()
	a := r.Resource().Attributes()
	a.PutStr("host.name", round.Host)
	a.PutStr("com.splunk.source", "periscope")
	a.PutStr("com.splunk.sourcetype", record.FlowSourcetype)
	a.PutStr("com.splunk.index", round.Index)
	r.ScopeLogs().AppendEmpty()
	return l
}
