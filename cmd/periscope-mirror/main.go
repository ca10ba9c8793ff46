// Command periscope-mirror keeps AWS mirror sessions in step with ECS tasks and EC2
// instances: it looks at what is, and makes, changes and deletes sessions until that
// is what its rules want. It does so once, or as a daemon, or as an AWS Lambda
// function when AWS_LAMBDA_RUNTIME_API says that it is one.
package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
)

// version is set by the linker.
var version = "devel"

func main() {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" && len(os.Args) == 1 {
		serveLambda(os.Stdout, os.Stderr)
	}
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command and returns the exit status.
func execute(args []string, stdout, stderr io.Writer) int {
	return command.Code(command.Execute(newRootCommand(), args, os.Stdin, stdout, stderr))
}

func newRootCommand() *cobra.Command {
	return command.Root(&cobra.Command{
		Use:   "periscope-mirror",
		Short: "Keep mirror sessions in step with tasks",
		Long: `Periscope-mirror keeps AWS mirror sessions in step with what its rules want: it
looks at ECS tasks, EC2 instances and their interfaces, and makes, changes and
deletes mirror sessions. It touches no session that it has not made itself.

It asks AWS with the credentials and in the region of the environment, as the AWS
command line does. As an AWS Lambda function it takes no arguments: see
docs/mirror.md.`,
	}, version, newReconcileCommand(), newRunCommand(), newCheckCommand())
}
