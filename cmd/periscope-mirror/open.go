package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/changes"
)

// Places are where the rules are and where changes go: a path, or an s3:// URL.
// Changes may be "", for nowhere. With filters it is looked whether filters are there,
// too.
type places struct {
	rules, changes string
	filters        bool
}

// A mirrorer does rounds: a Reconciler, with what it was opened from.
type mirrorer struct {
	*mirror.Reconciler
	cloud *lookout
	at    string        // where the rules are
	rules *mirror.Rules // in force
}

const (
	// remembered is how long a refusal counts for a process that begins anew.
	remembered = time.Hour

	// recalled is how long AWS may answer with a session of before, and a little more.
	recalled = 12 * time.Minute
)

// open reads the rules, finds out whose account it is, and takes over what the
// processes before were refused, and did of late.
func open(ctx context.Context, p places, log *slog.Logger) (*mirrorer, error) {
	rules, err := readRules(ctx, p.rules)
	if err != nil {
		return nil, err
	}
	kept, err := openChanges(p.changes)
	if err != nil {
		return nil, err
	}
	cloud := newLookout(rules, p.filters, log)
	account, err := cloud.of().Account(ctx)
	if err != nil {
		return nil, err
	}
	cfg := mirror.Config{Rules: rules, Cloud: cloud, Account: account, Region: cloud.of().Region(), Log: log}
	if kept == nil {
		return &mirrorer{mirror.New(cfg), cloud, p.rules, rules}, nil
	}
	cfg.Changes = kept.Put
	m := &mirrorer{mirror.New(cfg), cloud, p.rules, rules}
	here, now := changes.Place{Account: cfg.Account, Region: cfg.Region}, time.Now()
	done, err := kept.Done(ctx, here, now.Add(-recalled))
	if err != nil {
		log.Warn("what was done of late is not known", "changes", p.changes, "error", command.OneLine(err))
	}
	m.Restore(done)
	refusals, err := kept.Refusals(ctx, here, now.Add(-remembered))
	if err != nil {
		log.Warn("refusals of before are not known: what was refused is tried again at once", "changes", p.changes, "error", command.OneLine(err))
	}
	m.Restore(refusals)
	return m, nil
}

// reload reads the rules again, and puts them in force if they are others. With an
// error the old ones stay.
func (m *mirrorer) reload(ctx context.Context) (changed bool, err error) {
	rules, err := readRules(ctx, m.at)
	if err != nil || reflect.DeepEqual(rules, m.rules) {
		return false, err
	}
	m.cloud.want(rules)
	m.SetRules(rules)
	m.rules = rules
	return true, nil
}

// readRules reads the rules of a file or of S3. Those that are wrong or not there are
// an error of usage.
func readRules(ctx context.Context, at string) (*mirror.Rules, error) {
	if at == "" {
		how := "--rules"
		if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
			how = "PERISCOPE_RULES"
		}
		return nil, command.Usage(fmt.Errorf("which rules? name their file, or s3://BUCKET/KEY, with %s", how))
	}
	if !isS3(at) {
		rules, err := mirror.Load(at)
		if err != nil {
			return nil, command.Usage(err)
		}
		return rules, nil
	}
	bucket, key := path.Split(at)
	objects, err := awsapi.OpenObjects(bucket, awsapi.Config{Accounts: []awsapi.Account{here()}})
	if err != nil {
		return nil, command.Usage(fmt.Errorf("rules: %w", err))
	}
	text, err := objects.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	rules, err := mirror.Parse(at, text)
	if err != nil {
		return nil, command.Usage(err)
	}
	return rules, nil
}

// openChanges opens a directory or a prefix of S3, or nil for "". It asks nothing.
func openChanges(at string) (*changes.Log, error) {
	switch {
	case at == "":
		return nil, nil
	case strings.Contains(at, "://") && !isS3(at), strings.HasPrefix(at, "s3:") && !isS3(at):
		return nil, command.Usage(fmt.Errorf("changes: %s is neither a directory nor s3://BUCKET/PREFIX", at))
	case !isS3(at):
		switch info, err := os.Stat(at); {
		case errors.Is(err, syscall.ENOTDIR), err == nil && !info.IsDir():
			return nil, command.Usage(fmt.Errorf("changes: %s is not a directory", at))
		}
		return changes.NewLog(changes.Dir(at)), nil
	}
	objects, err := awsapi.OpenObjects(at, awsapi.Config{Accounts: []awsapi.Account{here()}, RatePerSecond: changesRate, Burst: changesBurst})
	if err != nil {
		return nil, command.Usage(fmt.Errorf("changes: %w", err))
	}
	return changes.NewLog(objects), nil
}

// S3 takes 3,500 objects a second; a round makes a hundred changes at most.
const changesRate, changesBurst = 50, 100

// here is the account of the credentials, in the region of the environment. With a
// region nobody has to ask instance metadata, which AWS Lambda does not have.
func here() awsapi.Account {
	region := os.Getenv("AWS_REGION")
	if region == "" {
		return awsapi.Account{}
	}
	return awsapi.Account{Regions: []string{region}}
}

func isS3(at string) bool { return strings.HasPrefix(at, "s3://") }
