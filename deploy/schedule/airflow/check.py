"""Loads the DAG as Airflow does, runs its task with a program that prints its flags, and
compares them with those that the command takes. Needs requirements.txt beside it.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).parent
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp()

from airflow.dag_processing.dagbag import DagBag  # noqa: E402, it reads AIRFLOW_HOME

bag = DagBag(str(here / "diffstitch_refresh.py"))
if bag.import_errors or list(bag.dags) != ["diffstitch_refresh"]:
    sys.exit(f"the DAG does not load: {bag.import_errors} {list(bag.dags)}")
(task,) = bag.dags["diffstitch_refresh"].tasks

printed = pathlib.Path(tempfile.mkdtemp()) / "flags"
program = printed.with_name("diffstitch")
program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {printed}\n')
program.chmod(0o755)
os.environ["DIFFSTITCH"] = str(program)
task.launcher_binary, task.worker_binary = str(here / "diffstitch-refresh"), sys.argv[1]
task.execute({})
command, *flags = printed.read_text().splitlines()
known = subprocess.run([sys.argv[1], command, "--help"], check=True, capture_output=True, text=True).stdout
for flag in flags:
    name = flag.split("=")[0]
    if name not in ("--labels", "--worker_binary") and f"{name} " not in known:  # Beam's own, which are not shown
        sys.exit(f"{command} has no flag {name}")
print(f"the DAG loads, and runs diffstitch {command} {' '.join(flags)}")
