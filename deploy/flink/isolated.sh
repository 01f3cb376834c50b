#!/usr/bin/env bash
# isolated.sh COMMAND [ARGUMENT…] -- runs a command where the network is the
# loopback alone, since Beam's job servers listen on every interface whatever
# they are told. Nothing that the command started outlives it.
set -euo pipefail

if (($# == 0)); then
  sed -n '2,4s/^# //p' "$0" >&2
  exit 2
fi

namespaces=(--net --pid --fork --kill-child --mount-proc)
((EUID == 0)) || namespaces+=(--map-root-user)

if ! command -v ip >/dev/null; then
  why="the command ip is missing (package iproute2)"
elif ! unshare "${namespaces[@]}" true 2>/dev/null; then
  why="this user may not make network namespaces (root may)"
else
  # Bash stays as the first process, to take up what loses its parent. Beam's boot
  # program puts workers' programs into a folder that all of a machine share.
  exec unshare "${namespaces[@]}" bash -c \
    'ip link set lo up && mkdir -p /tmp/staged && mount -t tmpfs staged /tmp/staged && "$@"; exit $?' isolated "$@"
fi
echo "isolated.sh: not isolated, ports are open to the network: $why" >&2
exec "$@"
