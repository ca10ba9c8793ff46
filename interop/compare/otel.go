package main

import (
	"context"
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/splunkhecexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/periscope-collector/periscope/interop/receiver"
	"github.com/periscope-collector/periscope/interop/sample"
	"github.com/periscope-collector/periscope/record"
)

// otel is the exporter with its defaults, but for a queue that waits when it is
// full, since it is to lose nothing. The log records are made before; give says what
// is handed over of a batch.
func otel(url string, give func(plog.Logs) plog.Logs) (func(load) error, error) {
	f := splunkhecexporter.NewFactory()
	config := f.CreateDefaultConfig().(*splunkhecexporter.Config)
	config.Endpoint = url
	config.Token = configopaque.String(token)
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
	return func(l load) error {
		for n := range l.steps() {
			if err := e.ConsumeLogs(ctx, give(batches[n/step%len(batches)])); err != nil {
				return err
			}
		}
		return e.Shutdown(ctx) // sends what the queue has
	}, nil
}

// logs returns the events as log records.
func logs() ([]plog.Logs, error) {
	events := record.NewEvents(record.EventConfig{Host: host, FlowIndex: index})
	session := sample.Session()
	var batches []plog.Logs
	for i := range kinds {
		if i%step == 0 {
			batches = append(batches, batch())
		}
		r := sample.Flow(session, i)
		uid := fmt.Appendf(nil, "0123456789abcdef-%x-%x", i/kinds, i*1000) // as long as the sink's
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
	a.PutStr("host.name", host)
	a.PutStr("com.splunk.source", "periscope")
	a.PutStr("com.splunk.sourcetype", record.FlowSourcetype)
	a.PutStr("com.splunk.index", index)
	r.ScopeLogs().AppendEmpty()
	return l
}
