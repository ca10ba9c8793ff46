#!/bin/sh
# Makes a collector of a new instance, as root: a volume for captures, the service,
# its drain, the CloudWatch agent. /etc/periscope has periscope.yaml and stack.env.
set -eu
etc=${ETC:-/etc} here=$(dirname "$0")
# shellcheck source=/dev/null
. "$etc/periscope/stack.env"

# The volume may come up after the instance, and is kept as it is if it is not new.
device=${DEVICE:-/dev/sdf} state=${STATE:-/var/lib/periscope}
tries=60
until [ -e "$device" ]; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || {
		echo "no volume for captures: $device is not there" >&2
		exit 1
	}
	sleep 1
done
blkid "$device" || mkfs.xfs -q "$device"
mkdir -p "$state"
echo "UUID=$(blkid -s UUID -o value "$device") $state xfs noatime,nodev,noexec,nosuid 0 2" >>"$etc/fstab"
mount "$state"

# Drain and stop_timeout of the configuration fit into it.
mkdir -p "$etc/systemd/system/periscope.service.d"
printf '[Service]\nTimeoutStopSec=%ss\n' "$STOP" >"$etc/systemd/system/periscope.service.d/stop.conf"

systemd-sysusers
sysctl --system
periscope check --config "$etc/periscope/periscope.yaml"
systemctl daemon-reload
systemctl enable --now periscope.service periscope-drain.service

# Its metrics to CloudWatch, from which alarms are made.
dnf install -y -q amazon-cloudwatch-agent
sed -i "s,@STACK@,$STACK,; s,@LOG_GROUP@,$LOG_GROUP," "$here/prometheus.yaml" "$here/amazon-cloudwatch-agent.json"
"${AGENT:-/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl}" -a fetch-config -m ec2 -s \
	-c "file:$here/amazon-cloudwatch-agent.json"
