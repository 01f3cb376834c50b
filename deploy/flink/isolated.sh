#!/usr/bin/env bash
# isolated.sh COMMAND [ARGUMENT…] -- runs a command where the network is the
# loopback alone, since Beam's job servers listen on every interface whatever
# they are told, and run what they are sent. Nothing that the command started
# outlives it. Where no such network can be made it does nothing, unless
# FLINK_EXPOSED=1 says that ports may be open to the network.
set -euo pipefail

if (($# == 0)); then
  sed -n '2,6s/^# //p' "$0" >&2
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
if [[ ${FLINK_EXPOSED:-} != 1 ]]; then
  echo "isolated.sh: not isolated: $why; FLINK_EXPOSED=1 runs it with ports open to the network" >&2
  exit 1
fi
echo "isolated.sh: not isolated, ports are open to the network: $why" >&2
exec "$@"
