package record_test

import (
	"fmt"
	"os"

	"github.com/periscope-collector/periscope/record"
)

func ExampleParseFields() {
	fields, err := record.ParseFields("${version} ${srcaddr} ${dstaddr} ${bytes} ${flow-direction} ${ecs-service-name}")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Println(fields.Header())
	r := web() // a flow of an ECS task
	for side := range r.Side {
		os.Stdout.Write(fields.AppendFlow(nil, r, side))
	}
	// Output:
	// version srcaddr dstaddr bytes flow-direction ecs-service-name
	// 7 10.0.1.163 203.0.113.9 2384 egress web
	// 7 203.0.113.9 10.0.1.163 9000 ingress web
}

func ExampleParseFields_error() {
	_, err := record.ParseFields("${version} ${src-addr}")
	fmt.Println(err)
	// Output:
	// position 12: there is no field "src-addr"; the nearest is ${srcaddr}
}
