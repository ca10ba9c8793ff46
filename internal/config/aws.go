package config

import (
	"fmt"
	"regexp"
	"strings"
)

// AWS says whose mirror sessions AWS is asked for, and how often. The
// credentials are those that the AWS SDK finds by itself.
type AWS struct {
	// Accounts are asked one by one. Empty means the account of the
	// credentials, in the region of the instance, else of AWS_REGION.
	Accounts []Account `yaml:"accounts"`

	// Targets are the mirror targets whose sessions count. Empty means those
	// that this instance or a load balancer receives from, or all where it is
	// not known what the instance's interfaces are.
	Targets []string `yaml:"targets"`

	// Poll is how often sessions are listed, 5s to 1h.
	Poll Duration `yaml:"poll"`

	// Changes is where periscope-mirror writes what it does to sessions: a directory,
	// or s3://bucket/prefix. Empty means nowhere.
	Changes string `yaml:"changes"`

	// Journal keeps who held which session when. Empty means none. If it is absent
	// the journal is beside the directory of sinks.pcap, else of sinks.flowlog, else
	// of sinks.splunk.spool.
	Journal string `yaml:"journal"`

	// JournalSize bounds the journal, 1MiB to 4GiB.
	JournalSize Size `yaml:"journal_size"`
}

// An Account is asked in each of its regions.
type Account struct {
	// RoleARN is assumed, with ExternalID if it is not empty. Empty means the
	// credentials' own.
	RoleARN    string `yaml:"role_arn"`
	ExternalID string `yaml:"external_id"`

	// Regions are names such as eu-central-1. Empty means that of the instance,
	// else of AWS_REGION.
	Regions []string `yaml:"regions"`
}

// DefaultAWS returns the values of aws whose keys are all absent.
func DefaultAWS() AWS {
	return AWS{
		Accounts:    []Account{},
		Targets:     []string{},
		Poll:        minutes / 2,
		Journal:     "sessions.journal",
		JournalSize: 64 * MiB,
	}
}

// The shapes of names that AWS gives. They catch slips such as a name in place
// of an ARN, and are not AWS's own rules.
var (
	roleARN   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]{1,512}$`)
	regionID  = regexp.MustCompile(`^[a-z]{2,8}(-[a-z]+){1,3}-[0-9]{1,2}$`)
	bucketURL = regexp.MustCompile(`^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[!-~]*)?$`)
	targetID  = regexp.MustCompile(`^tmt-[0-9a-f]{8,17}$`)
)

func (a *AWS) validate(p *problems) {
	seen := make(map[string]string)
	for i, account := range a.Accounts {
		path := fmt.Sprintf("aws.accounts[%d]", i)
		if account.RoleARN != "" && !roleARN.MatchString(account.RoleARN) {
			p.addf(path+".role_arn", "must be the ARN of a role such as arn:aws:iam::111122223333:role/periscope, not %.60q", account.RoleARN)
		}
		if account.ExternalID != "" && account.RoleARN == "" {
			p.addf(path+".external_id", "has no role_arn beside it; name the role it is for, or remove it")
		}
		for j, region := range account.Regions {
			path := fmt.Sprintf("%s.regions[%d]", path, j)
			if !regionID.MatchString(region) {
				p.addf(path, "must be the name of a region such as eu-central-1, not %.60q", region)
			}
			p.once(seen, path, account.RoleARN+" "+region, region)
		}
		if len(account.Regions) == 0 {
			p.once(seen, path, account.RoleARN, "this account")
		}
	}
	for i, target := range a.Targets {
		path := fmt.Sprintf("aws.targets[%d]", i)
		if !targetID.MatchString(target) {
			p.addf(path, "must be the ID of a mirror target such as tmt-0a1b2c3d4e5f60718, not %.60q", target)
		}
		p.once(seen, path, target, target)
	}
	within(p, "aws.poll", a.Poll, minutes/12, 60*minutes)
	if strings.Contains(a.Changes, "://") && !bucketURL.MatchString(a.Changes) {
		p.addf("aws.changes", "must be a directory, or s3://bucket/prefix, not %.60q", a.Changes)
	}
	within(p, "aws.journal_size", a.JournalSize, MiB, 4*GiB)
}

// once wants key, which the reader knows as name, in no path before.
func (p *problems) once(seen map[string]string, path, key, name string) {
	if first, ok := seen[key]; ok {
		p.addf(path, "%.60s is already in %s; remove one of the two", name, first)
		return
	}
	seen[key] = path
}
