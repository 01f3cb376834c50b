"""Brings a published D* up to date each night, by Beam's Go operator.

The program and diffstitch-refresh lie on the workers; see deploy/schedule/README.md.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.apache.beam.operators.beam import BeamRunGoPipelineOperator
from airflow.sdk import DAG

BUCKET = "gs://BUCKET"
RUNNER = "prism"  # or flink, or dataflow, with Beam's options for it below

with DAG(
    dag_id="diffstitch_refresh",
    description="Bring D* up to date",
    schedule="30 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=10),
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10)},
    tags=["diffstitch"],
) as dag:
    refresh = BeamRunGoPipelineOperator(
        task_id="refresh",
        runner=RUNNER,
        # A program takes flags alone from the operator: the script puts the command before them.
        launcher_binary="/usr/local/lib/diffstitch/diffstitch-refresh",
        worker_binary="/usr/local/bin/diffstitch",
        pipeline_options={
            "data": f"{BUCKET}/episodes",
            "models": f"{BUCKET}/models",
            "out": f"{BUCKET}/augmented",
            "stitches": "5000",
            "seed": "1",
        },
        execution_timeout=timedelta(hours=9),
    )
