#!/bin/sh
# Waits until Auto Scaling wants this instance to go, has Periscope drain, read its
# sockets empty and finish its files, and then lets the instance go.
#
# REGION, GROUP and HOOK say whose lifecycle action it is. Auto Scaling waits no
# longer than the hook's heartbeat timeout, whatever happens here.
set -eu
: "${REGION:?}" "${GROUP:?}" "${HOOK:?}"
imds=${IMDS:-http://169.254.169.254}
every=${EVERY:-5} # seconds

metadata() {
	token=$(curl -fsS -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/latest/api/token") &&
		curl -fsS -m 2 -H "X-aws-ec2-metadata-token: $token" "$imds/latest/meta-data/$1"
}

# 404 before the instance is in service.
until [ "$(metadata autoscaling/target-lifecycle-state 2>/dev/null)" = Terminated ]; do
	sleep "$every"
done
until instance=$(metadata instance-id); do
	sleep "$every"
done

echo "Auto Scaling ends $instance: periscope stops"
# It waits for the stop, which TimeoutStopSec bounds. What a stop that failed has
# left is salvaged by whoever reads the volume next; the instance goes either way.
systemctl stop periscope.service || echo "periscope did not stop well: status $?"

# The action is there only when load balancers have let go of the instance.
until aws autoscaling complete-lifecycle-action --region "$REGION" --auto-scaling-group-name "$GROUP" \
	--lifecycle-hook-name "$HOOK" --instance-id "$instance" --lifecycle-action-result CONTINUE; do
	sleep "$every"
done
echo "$instance may go"
