#!/usr/bin/env bash
# submit.sh train|augment FLAG… -- runs diffstitch on Google Cloud Dataflow; every
# FLAG goes to diffstitch, and one of Beam's takes the place of the one set here.
# README.md beside this file says what has to be there before.
#
#   PROJECT          Google Cloud project
#   REGION           where the workers run
#   BUCKET           bucket for the staged worker binary and temporary files
#   IMAGE            worker image in a registry that the workers reach
#   SERVICE_ACCOUNT  e-mail of the workers' service account
#   SUBNETWORK       subnetwork of the workers, regions/REGION/subnetworks/NAME (default: the project's default)
#   MACHINE_TYPE     machine of a worker (n2-standard-8)
#   MAX_WORKERS      most workers at once (4)
#   ACCELERATOR      such as type:nvidia-l4;count:1;install-nvidia-driver (none)
#   DIFFSTITCH       the program, which is also what the workers run (diffstitch)
set -euo pipefail

(($# > 0)) || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command=$1
shift

flags=(
  --runner dataflow
  --project "${PROJECT:?the Google Cloud project}"
  --region "${REGION:?where the workers run}"
  --staging_location "gs://${BUCKET:?the bucket for staging}/staging"
  --temp_location "gs://$BUCKET/temp"
  --sdk_container_image "${IMAGE:?the worker image}"
  --service_account_email "${SERVICE_ACCOUNT:?the service account of the workers}"
  --worker_machine_type "${MACHINE_TYPE:-n2-standard-8}"
  --max_num_workers "${MAX_WORKERS:-4}"
  --no_use_public_ips
)
[[ -z ${SUBNETWORK:-} ]] || flags+=(--subnetwork "$SUBNETWORK")
[[ -z ${ACCELERATOR:-} ]] || flags+=(--dataflow_service_options "worker_accelerator=$ACCELERATOR")

exec "${DIFFSTITCH:-diffstitch}" "$command" "${flags[@]}" "$@"
