#!/usr/bin/env bash
# check.sh -- has systemd check the units, with a program that is there in diffstitch's place.
set -euo pipefail
cd "$(dirname "$0")"
if ! type systemd-analyze >/dev/null 2>&1; then
  echo "no systemd-analyze: the units are not checked"
  exit
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sed 's|/usr/local/bin/diffstitch|/bin/true|' diffstitch-refresh.service >"$dir/diffstitch-refresh.service"
cp diffstitch-refresh.timer "$dir"
said=$(systemd-analyze verify --recursive-errors=no "$dir/diffstitch-refresh.service" "$dir/diffstitch-refresh.timer" 2>&1)
if [[ -n $said ]]; then
  echo "$said"
  exit 1
fi
systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' diffstitch-refresh.timer)" >/dev/null
