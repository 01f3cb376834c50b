"""Times pyarrow on a file of the canonical layout, for `make bench`.

One thread and CPU seconds, as the Go benchmarks beside it run. Prints one line
for reading into numpy arrays (what a learner uses) and one for writing with the
same compression and row groups.

Usage: parquet_peer.py FILE [REPEATS]
"""

import io
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS = ["observations", "actions", "rewards", "next_observations"]


def best(repeats, work):
    """The least CPU time of several runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def raw_bytes(table):
    """The size of the float columns, the measure of the Go benchmarks."""
    rows = table.num_rows
    widths = [f.type.list_size for f in table.schema if pa.types.is_fixed_size_list(f.type)]
    return 4 * rows * (sum(widths) + 1)


def read_arrays(path):
    table = pq.read_table(path, use_threads=False, memory_map=False)
    for name in NUMBERS:
        column = table[name].combine_chunks()
        if pa.types.is_fixed_size_list(column.type):
            column = column.flatten()
        column.to_numpy(zero_copy_only=False)
    return table


def write_table(table, row_group_size, **options):
    pq.write_table(table, io.BytesIO(), compression="snappy", row_group_size=row_group_size, **options)


def main():
    pa.set_cpu_count(1)
    path, repeats = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    table = read_arrays(path)
    megabytes = raw_bytes(table) / 1e6
    rows = pq.ParquetFile(path).metadata.row_group(0).num_rows
    plain = {"use_dictionary": ["source"]}
    results = {
        "pyarrow read": best(repeats, lambda: read_arrays(path)),
        "pyarrow write, defaults": best(repeats, lambda: write_table(table, rows)),
        "pyarrow write, no dictionary": best(repeats, lambda: write_table(table, rows, **plain)),
    }
    for name, seconds in results.items():
        print(f"{name:30s} {megabytes / seconds:8.1f} MB/s")


if __name__ == "__main__":
    main()
