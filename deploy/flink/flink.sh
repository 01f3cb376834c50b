#!/usr/bin/env bash
# flink.sh -- Flink and Beam's job server on this machine, from Maven's jars.
#
#   flink.sh jars                        fetch the jars (all else does so, too)
#   flink.sh start embedded              a job server with Flink inside it
#   flink.sh start cluster               JobManager, TaskManager and job server
#   flink.sh start PROCESS…              one of jobmanager, taskmanager, jobserver
#   flink.sh stop [PROCESS…]             stop what was started, or these
#   flink.sh run embedded|cluster CMD…   start, run a command, stop
#
# Jobs are sent to --endpoint 127.0.0.1:8099. Everything binds to the loopback
# but the job server, which listens on every interface and runs what it is sent.
# So it starts only where there is nothing but the loopback, into which run goes
# by isolated.sh, or where FLINK_EXPOSED=1 says that others may reach it.
#
# Settings, by environment variables:
#   FLINK_DIR        folder of logs, process ids, configuration and temporary files
#   FLINK_LIB        folder of the jars
#   FLINK_SLOTS      task slots of the TaskManager (2)
#   FLINK_RESTARTS   how often a job is restarted after a failure (3)
#   FLINK_CHECKPOINTS  how often a streaming job is checkpointed, as in 5s (never)
#   FLINK_PORT       port of the job server (8099)
#   FLINK_REST_PORT  port of the JobManager's web page (8081)
#   FLINK_RPC_PORT   port of the JobManager (6123)
#   FLINK_TIMEOUT    seconds that a process has to get ready (120)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/diffstitch
dir=${FLINK_DIR:-$cache/flink-run}
lib=${FLINK_LIB:-$cache/flink}
slots=${FLINK_SLOTS:-2}
port=${FLINK_PORT:-8099}
rest=${FLINK_REST_PORT:-8081}
rpc=${FLINK_RPC_PORT:-6123}
timeout=${FLINK_TIMEOUT:-120}

die() {
  echo "flink.sh: $*" >&2
  exit 1
}

usage() {
  sed -n '4,9s/^#  *//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

need() { command -v "$1" >/dev/null || die "$1 is missing: install $2"; }

# jars copies what pom.xml lists into the folder of the jars, once a pom.xml.
jars() {
  need java "a Java runtime, 11 or 17 (Debian: default-jre-headless)"
  cmp -s "$here/pom.xml" "$lib/pom.xml" && return
  need mvn "Maven (Debian: maven)"
  echo "flink.sh: fetching 160 jars, 150 MB, into $lib" >&2
  local partial=$lib.$$ # so that the folder is there whole or not at all
  mvn --quiet --batch-mode --file "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$partial" >&2 || {
    rm -rf "$partial"
    die "Maven could not fetch the jars"
  }
  cp "$here/pom.xml" "$partial"
  rm -rf "$lib"
  mv "$partial" "$lib"
}

# The TaskManager's memory, MiB: the models run in the workers, outside its JVM.
# Outside the heap it holds the program that it hands to a starting worker, all of
# it where the worker is slow, and a shuffle's buffers, for each slot.
heap=512 offheap=512 managed=128 framework=128 metaspace=256 overhead=192
network=$((128 * slots))
flink=$((heap + offheap + network + managed + 2 * framework))

# configure writes Flink's configuration. The TaskManager of a bare JVM wants
# every part of its memory set.
configure() {
  mkdir -p "$dir"/{conf,log,pid,tmp,work}
  cat >"$dir/conf/config.yaml" <<YAML
jobmanager.rpc.address: 127.0.0.1
jobmanager.bind-host: 127.0.0.1
jobmanager.rpc.port: $rpc
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: $rest
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: $slots
taskmanager.cpu.cores: $slots
taskmanager.memory.task.heap.size: ${heap}m
taskmanager.memory.task.off-heap.size: ${offheap}m
taskmanager.memory.network.min: ${network}m
taskmanager.memory.network.max: ${network}m
taskmanager.memory.managed.size: ${managed}m
taskmanager.memory.framework.heap.size: ${framework}m
taskmanager.memory.framework.off-heap.size: ${framework}m
taskmanager.memory.jvm-metaspace.size: ${metaspace}m
taskmanager.memory.jvm-overhead.min: ${overhead}m
taskmanager.memory.jvm-overhead.max: ${overhead}m
taskmanager.memory.flink.size: ${flink}m
taskmanager.memory.process.size: $((flink + metaspace + overhead))m
taskmanager.network.sort-shuffle.min-buffers: 64
parallelism.default: $slots
heartbeat.interval: 2000
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: ${FLINK_RESTARTS:-3}
restart-strategy.fixed-delay.delay: 1 s
io.tmp.dirs: $dir/tmp
blob.server.port: 0
classloader.resolve-order: parent-first
YAML
  [[ -z ${FLINK_CHECKPOINTS:-} ]] || cat >>"$dir/conf/config.yaml" <<YAML
execution.checkpointing.interval: $FLINK_CHECKPOINTS
execution.checkpointing.mode: EXACTLY_ONCE
state.checkpoints.dir: file://$dir/checkpoints
YAML
}

opens() {
  local package
  for package in util lang nio net time util.concurrent util.concurrent.atomic lang.reflect io text; do
    echo "--add-opens=java.base/java.$package=ALL-UNNAMED"
  done
  echo "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"
  echo "--add-exports=java.base/sun.net.util=ALL-UNNAMED"
}

# alive NAME is whether the process runs, and is not another that got its number.
alive() { [[ -f $dir/pid/$1 ]] && grep -qsF "$dir/tmp" "/proc/$(<"$dir/pid/$1")/cmdline"; }

started=() # by this call

# launch NAME JAVA-ARGUMENT… starts a JVM as the head of a process group of its
# own, so that its workers can be stopped with it.
launch() {
  local name=$1
  shift
  alive "$name" && die "$name is running already: process $(<"$dir/pid/$name") of $dir"
  local options
  mapfile -t options < <(opens)
  (
    cd "$dir/work"
    exec setsid java "${options[@]}" -Djava.io.tmpdir="$dir/tmp" -cp "$lib/*" "$@" </dev/null >"$dir/log/$name.log" 2>&1
  ) &
  echo $! >"$dir/pid/$name"
  started+=("$name")
}

# ready NAME CHECK… waits until the check passes.
ready() {
  local name=$1 began=$SECONDS why
  shift
  until "$@"; do
    why=
    kill -0 "$(<"$dir/pid/$name")" 2>/dev/null || why="died at its start"
    ((SECONDS - began < timeout)) || why="is not ready after $timeout seconds"
    if [[ $why ]]; then
      tail -n 20 "$dir/log/$name.log" | cut -c 1-300 >&2
      die "$name $why; its log, of which this is the end: $dir/log/$name.log"
    fi
    sleep 0.2
  done
  echo "flink.sh: $name is ready" >&2
}

listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free PORT VARIABLE fails when something listens there already.
free() { ! listens "$1" || die "port $1 is taken: set $2 to a free one"; }

# registered is whether this TaskManager is one of the JobManager's.
registered() { grep -q 'Successful registration at resource manager' "$dir/log/taskmanager.log"; }

start_jobmanager() {
  free "$rpc" FLINK_RPC_PORT
  free "$rest" FLINK_REST_PORT
  launch jobmanager -Xmx512m org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir "$dir/conf"
  ready jobmanager listens "$rest"
}

start_taskmanager() {
  launch taskmanager -Xmx$((heap + framework))m -XX:MaxDirectMemorySize=$((network + framework + offheap))m \
    -XX:MaxMetaspaceSize=${metaspace}m \
    org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir "$dir/conf"
  ready taskmanager registered
}

# start_jobserver starts it in front of the cluster: as a program of Flink's own
# command line, which sends a job its one small jar, where a job server by itself
# sends every jar that it has, 150 MB a job.
start_jobserver() {
  export FLINK_CONF_DIR=$dir/conf
  jobserver '[auto]' org.apache.flink.client.cli.CliFrontend run \
    --class org.apache.beam.runners.flink.FlinkJobServerDriver "$lib"/beam-runners-flink-*.jar
}

start_embedded() { jobserver '[local]' org.apache.beam.runners.flink.FlinkJobServerDriver; }

# isolated is whether there is no interface but the loopback.
isolated() { [[ $(awk 'NR > 2 && $1 != "lo:"' /proc/net/dev) == "" ]]; }

# jobserver MASTER MAIN… launches the job server by a main class.
jobserver() {
  local master=$1
  shift
  isolated || [[ ${FLINK_EXPOSED:-} == 1 ]] ||
    die "Beam's job server would listen on every interface of this machine, and runs what it is sent: go by '$here/isolated.sh COMMAND' or 'flink.sh run', or set FLINK_EXPOSED=1"
  free "$port" FLINK_PORT
  launch jobserver -Xmx1g "$@" --job-host=127.0.0.1 --job-port="$port" --artifact-port=0 --expansion-port=-1 \
    --artifacts-dir="$dir/tmp/artifacts" --flink-conf-dir="$dir/conf" --flink-master="$master"
  ready jobserver listens "$port"
}

# start leaves nothing behind unless all of it gets ready.
start() {
  (($#)) || usage
  jars
  configure
  trap undo EXIT
  local what
  for what; do
    case $what in
      cluster)
        start_jobmanager
        start_taskmanager
        start_jobserver
        ;;
      embedded | jobmanager | taskmanager | jobserver) "start_$what" ;;
      *) usage ;;
    esac
  done
  trap - EXIT
}

undo() { ((${#started[@]} == 0)) || stop "${started[@]}"; }

# stop ends processes with their workers, those that submit before those that
# serve, by force where asking does not help.
stop() {
  local name
  [[ -d $dir/pid ]] || return 0
  (($#)) || set -- jobserver taskmanager jobmanager
  for name; do
    [[ -f $dir/pid/$name ]] || continue
    alive "$name" && signal TERM "$name"
    for _ in {1..50}; do
      alive "$name" || break
      sleep 0.1
    done
    alive "$name" && signal KILL "$name"
    rm -f "$dir/pid/$name"
  done
  [[ $(ls -A "$dir/pid") ]] || rm -rf "${dir:?}/tmp" # with the workers' programs, which the job server leaves there
}

signal() { kill "-$1" -- "-$(<"$dir/pid/$2")" 2>/dev/null || true; }

run() {
  (($# > 1)) || usage
  isolated || [[ ${FLINK_EXPOSED:-} == 1 ]] || {
    jars # there is no network to fetch them from in there
    exec "$here/isolated.sh" "${BASH_SOURCE[0]}" run "$@"
  }
  start "$1"
  trap stop EXIT
  shift
  "$@"
}

case ${1:-} in
  jars | start | stop | run) "$@" ;;
  *) usage ;;
esac
