package archtest

const module = "github.com/periscope-collector/periscope/"

// A limit names all that a package may import beside the standard library, its
// tests excepted.
type limit struct {
	pkg     string
	imports []string // each with what lies below it
	why     string
}

const (
	leaf  = "it is a leaf, so that every stage can share its values"
	stage = "stages do not know each other; they meet in internal/pipeline"
	part  = "it is a part, used by others and usable without them"
)

var limits = []limit{
	{"packet", nil, leaf},
	{"tunnel", nil, leaf},
	{"capture", []string{module + "packet", module + "tunnel", module + "internal/cbpf", module + "internal/tpacket",
		"golang.org/x/sys", "golang.org/x/net/bpf", "github.com/cilium/ebpf", "github.com/klauspost/compress"}, stage},
	{"decode", []string{module + "packet"}, stage},
	{"session", []string{module + "packet", module + "tunnel", module + "internal/strictyaml"}, stage},
	{"filter", []string{module + "packet", module + "internal/strictyaml"}, stage},
	{"session/journal", []string{module + "session", module + "sink/dir", "golang.org/x/sys"},
		"it keeps what is learnt, whoever learns it"},
	{"session/announce", []string{module + "packet", module + "session"}, "who sends needs no more to say who it is"},
	{"internal/ecsmeta", []string{module + "packet", module + "session"}, "a task that sends asks about itself alone, and nobody at AWS"},
	{"sink", []string{module + "packet"}, "it is the contract between workers and sinks, not a sink"},
	{"sink/pcap", []string{module + "packet", module + "sink", module + "sink/dir", "golang.org/x/sys"}, stage},
	{"sink/flowlog", []string{module + "packet", module + "record", module + "sink", module + "sink/dir", module + "sink/queue",
		"golang.org/x/sys", "github.com/klauspost/compress"}, stage},
	{"sink/splunk", []string{module + "packet", module + "record", module + "sink", module + "sink/dir", module + "sink/queue",
		module + "sink/spool", module + "sink/splunk/hec", "golang.org/x/sys"}, stage},
	{"sink/splunk/hec", []string{"github.com/klauspost/compress"}, "it is a client of one protocol, and knows no record"},
	{"sink/dir", []string{module + "packet", "golang.org/x/sys"}, part},
	{"sink/spool", []string{module + "packet", module + "sink/dir", "golang.org/x/sys"}, part},
	{"flow", []string{module + "packet", "golang.org/x/sys"}, stage},
	{"record", []string{module + "packet"}, leaf},
	{"sink/queue", nil, "it carries items of any type"},
	{"bench/traffic", []string{module + "packet", module + "tunnel", module + "internal/checksum", "golang.org/x/sys"}, part},
	{"internal/checksum", nil, part},
	{"tap", []string{module + "packet", module + "tunnel", module + "decode", module + "filter",
		module + "internal/cbpf", module + "internal/checksum", module + "internal/tpacket",
		"golang.org/x/sys", "golang.org/x/net/bpf"}, "it is the other end of a mirror, and knows no stage of the collector but what reads frames"},
	{"internal/cbpf", []string{"golang.org/x/sys", "golang.org/x/net/bpf"}, part},
	{"internal/tpacket", []string{module + "internal/cbpf", "golang.org/x/sys", "golang.org/x/net/bpf"}, part},
	{"mirror", []string{module + "mirror/changes", module + "internal/backoff", module + "internal/strictyaml"}, "what to do is decided without asking AWS"},
	{"mirror/cloud", []string{module + "mirror", module + "internal/awsapi"}, "it says what there is, not what to do about it"},
	{"internal/backoff", nil, part},
	{"internal/command", []string{"github.com/spf13"}, "it knows no command"},
	{"internal/strictyaml", []string{"go.yaml.in/yaml/v4"}, part},
	{"internal/table", nil, part},
	{"mirror/changes", nil, "who writes changes and who reads them share nothing else"},
	{"internal/discovery", []string{module + "filter", module + "packet", module + "session", module + "internal/awsapi", module + "internal/backoff",
		module + "internal/config", module + "mirror/changes"},
		"it tells the table and the journal what AWS and senders say, and knows no frames but announcements"},
}

// A confinement names the only packages that may import a path, their tests
// and those of others excepted.
type confinement struct {
	path string // with what lies below it
	to   []string
	why  string
}

var confinements = []confinement{
	{"github.com/google/gopacket", []string{"cmd/periscope", "internal/judge"},
		"hostile bytes make it panic and allocate gigabytes; it may read files given to send, and judge in tests"},
	{"github.com/prometheus", []string{"internal/metrics", "internal/admin"},
		"stages count in plain fields, which tests read and no registry slows"},
	{"go.yaml.in", []string{"internal/strictyaml", "internal/config"},
		"one place turns YAML into values, with line and column in every error; another only prints it"},
	{"github.com/aws/aws-sdk-go-v2", []string{"internal/awsapi"},
		"one place asks AWS, and gives values; its types would be everywhere else"},
	{"github.com/aws/smithy-go", []string{"internal/awsapi"}, "it is a part of the AWS SDK"},
	{"github.com/aws/aws-lambda-go", []string{"cmd/periscope-mirror"}, "one program is an AWS Lambda function"},
	{"text/template", nil, "with it the linker keeps every method of every type: 45 MB of the AWS SDK that nothing calls"},
	{"html/template", nil, "it is a text/template"},
	{"github.com/spf13", []string{"cmd", "internal/command"}, "flags are for commands, and what all commands do with them is one place"},
	{module + "internal/command", []string{"cmd"}, "flags are for commands"},
	{"github.com/coreos", []string{"internal/service"}, "only the service knows that systemd started it"},
	{module + "cmd", nil, "a command is the end of the line"},
	{module + "internal/pipeline", []string{"cmd", "internal/metrics", "internal/service"},
		"the wiring knows the parts, not the other way round"},
	{module + "sink/splunk/hec/hectest", nil, "it is for tests"},
	{module + "internal/lab", nil, "it is for tests, and needs root"},
	{module + "internal/awsfake", nil, "it is for tests, and for trying by hand with the program below it"},
	{module + "internal/leak", nil, "it is for tests"},
	{module + "internal/judge", nil, "it is for tests, and runs other programs"},
}
