"""Reads the current and the first snapshot of a table by pyiceberg, to Arrow, polars and
pandas, and prints what a test compares. Whatever warns fails it, also what is logged."""

import json
import logging
import sys

from pyiceberg.catalog.sql import SqlCatalog


class Raise(logging.Handler):
    def emit(self, record):
        raise RuntimeError(f"{record.name} warns: {record.getMessage()}")


logging.getLogger().addHandler(Raise(level=logging.WARNING))

LISTS = ["observations", "actions", "next_observations"]
NULLABLE = ["low_episode_id", "from_episode_id", "from_step", "qualification_error", "refinement_residual"]


def of_arrow(scan):
    table = scan.to_arrow()
    return {
        "rows": table.num_rows,
        "types": {field.name: str(field.type) for field in table.schema},
        "required": [field.name for field in table.schema if not field.nullable],
        "sums": {name: sum(map(sum, table[name].to_pylist())) for name in LISTS} | {"rewards": sum(table["rewards"].to_pylist())},
        "nulls": {name: table[name].null_count for name in NULLABLE},
        "generated": sum(table["generated"].to_pylist()),
        "stitched": table["source"].to_pylist().count("stitched"),
    }


def of_polars(scan):
    frame = scan.to_polars()
    return {
        "rows": frame.height,
        "types": {},
        "required": [],
        "sums": {name: sum(map(sum, frame[name].to_list())) for name in LISTS} | {"rewards": sum(frame["rewards"].to_list())},
        "nulls": {name: frame[name].null_count() for name in NULLABLE},
        "generated": int(frame["generated"].sum()),
        "stitched": frame.filter(frame["source"] == "stitched").height,
    }


def of_pandas(scan):
    frame = scan.to_pandas()
    return {
        "rows": len(frame),
        "types": {},
        "required": [],
        "sums": {name: sum(float(sum(map(float, row))) for row in frame[name]) for name in LISTS} | {"rewards": sum(map(float, frame["rewards"]))},
        "nulls": {name: int(frame[name].isna().sum()) for name in NULLABLE},
        "generated": int(frame["generated"].sum()),
        "stitched": int((frame["source"] == "stitched").sum()),
    }


def by_all(scan):
    return {"arrow": of_arrow(scan()), "polars": of_polars(scan()), "pandas": of_pandas(scan())}


def main():
    table = SqlCatalog("default", uri=f"sqlite:///{sys.argv[1]}").load_table(sys.argv[2])
    snapshots = table.snapshots()
    print(json.dumps({
        "ids": [s.summary.additional_properties["diffstitch.snapshot-id"] for s in snapshots],
        "first": by_all(lambda: table.scan(snapshot_id=snapshots[0].snapshot_id)),
        "current": by_all(table.scan),
        "filtered": table.scan(row_filter="source = 'stitched'", selected_fields=("episode_id",)).to_arrow().num_rows,
    }))


main()
