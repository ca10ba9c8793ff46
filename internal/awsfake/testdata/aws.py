# Runs the AWS command line once for each line of standard input, a JSON array of
# its arguments, and prints its exit status and what it wrote, as JSON. It is the
# program /usr/bin/aws without a start of Python for each.
import contextlib
import io
import json
import sys

from awscli.clidriver import AWSCLIEntryPoint

for line in sys.stdin:
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = AWSCLIEntryPoint().main(json.loads(line))
        except SystemExit as end:
            status = end.code
    out.flush()
    print(json.dumps({"Status": status, "Out": out.buffer.getvalue().decode(), "Err": err.getvalue()}), flush=True)
