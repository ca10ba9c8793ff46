#!/bin/sh
# Makes what the templates install, in dist: periscope-linux-ARCH.tar.gz for
# collectors, periscope-mirror-ARCH.zip for Lambda, and their SHA-256 sums.
#
#   deploy/aws/release.sh [arm64|amd64]
set -eu
arch=${1:-arm64}
cd "$(dirname "$0")/../.."
out=${OUT:-dist}
mkdir -p "$out"
out=$(cd "$out" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
export GOARCH="$arch" GOOS=linux

make install PREFIX=/usr DESTDIR="$stage/root" BIN="$stage/bin"
aws=$stage/root/usr/share/periscope/aws
install -D -m 0644 -t "$aws" deploy/aws/boot.sh deploy/aws/periscope-drain.sh deploy/aws/prometheus.yaml deploy/aws/amazon-cloudwatch-agent.json
install -D -m 0644 -t "$stage/root/usr/lib/systemd/system" deploy/aws/periscope-drain.service
tar --create --gzip --file "$out/periscope-linux-$arch.tar.gz" --directory "$stage/root" --owner=0 --group=0 etc usr

make lambda ARCH="$arch" BIN="$stage/bin"
cp "$stage/bin/periscope-mirror-$arch.zip" "$out"

cd "$out"
sha256sum "periscope-linux-$arch.tar.gz" "periscope-mirror-$arch.zip"
