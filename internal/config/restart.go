package config

import (
	"reflect"
	"slices"
	"strings"
)

// reloadable are the keys that a running process takes over when it reloads.
var reloadable = []string{
	"capture.allow",
	"sessions.file",
	"sessions.unknown",
	"filter.file",
	"filter.sessions",
	"keep",
	"sinks.pcap.filter",
	"sinks.pcap.rotate.size",
	"sinks.pcap.rotate.every",
	"sinks.pcap.rotate.packets",
	"sinks.pcap.retain.size",
	"sinks.pcap.retain.age",
	"sinks.pcap.retain.free",
	"sinks.flowlog.filter",
	"sinks.splunk.filter",
	"drain",
	"stop_timeout",
	"log.level",
}

// Restart returns the paths of the keys that differ and that only a restart
// takes over, in the order of the reference file. A sink that was added or
// removed counts as one key.
func Restart(old, new *Config) []string {
	var paths []string
	differ("", reflect.ValueOf(*old), reflect.ValueOf(*new), func(path string) {
		if !slices.Contains(reloadable, path) {
			paths = append(paths, path)
		}
	})
	return paths
}

// differ calls f for the path of each value below path that is not the same in
// a and b.
func differ(path string, a, b reflect.Value, f func(path string)) {
	if a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() {
		a, b = a.Elem(), b.Elem()
	}
	if a.Kind() != reflect.Struct {
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			f(path)
		}
		return
	}
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("yaml"), ",")
		differ(strings.TrimPrefix(path+"."+name, "."), a.Field(i), b.Field(i), f)
	}
}
