#!/usr/bin/env bash
# schedule.sh -- has Cloud Scheduler launch the flex template of deploy/dataflow, which trains
# the models on Dataflow. Needs gcloud, and the template in gs://BUCKET/templates.
#
#   PROJECT, REGION, BUCKET, IMAGE, SERVICE_ACCOUNT, SUBNETWORK   as in deploy/dataflow/submit.sh
#   SCHEDULER_ACCOUNT   service account that may launch Dataflow jobs and act as SERVICE_ACCOUNT
#   SCHEDULE            when, as cron says it (default: Sundays at one)
#   DRY_RUN             print what would be run
set -euo pipefail
cd "$(dirname "$0")"

: "${PROJECT:?}" "${REGION:?}" "${BUCKET:?}" "${IMAGE:?}" "${SERVICE_ACCOUNT:?}" "${SUBNETWORK:?}" "${SCHEDULER_ACCOUNT:?}"

body=$(mktemp)
trap 'rm -f "$body"' EXIT
sed -e "s|BUCKET|$BUCKET|g; s|SERVICE_ACCOUNT|$SERVICE_ACCOUNT|; s|SUBNETWORK|$SUBNETWORK|; s|IMAGE|$IMAGE|" launch.json >"$body"

create=(gcloud scheduler jobs create http diffstitch-train
  --project "$PROJECT" --location "$REGION"
  --schedule "${SCHEDULE:-0 1 * * 0}" --time-zone Etc/UTC
  --uri "https://dataflow.googleapis.com/v1b3/projects/$PROJECT/locations/$REGION/flexTemplates:launch"
  --http-method POST --headers Content-Type=application/json --message-body-from-file "$body"
  --oauth-service-account-email "$SCHEDULER_ACCOUNT"
  --max-retry-attempts 3 --min-backoff 60s)

if [[ -n ${DRY_RUN:-} ]]; then
  printf '%q ' "${create[@]}"
  printf '\n'
  cat "$body"
else
  "${create[@]}"
fi
