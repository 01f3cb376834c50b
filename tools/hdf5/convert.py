"""Makes Parquet of D4RL's and Minari's HDF5, and HDF5 of Parquet.

    convert.py import SOURCE OUT.parquet [--observations NAME+NAME]
    convert.py export d4rl   PARQUET OUT.hdf5
    convert.py export minari PARQUET OUT_FOLDER [--id NAMESPACE/NAME-v0]

SOURCE is a file of D4RL, a main_data.hdf5 of Minari, or a Minari dataset's
folder. PARQUET is a file, or a folder of files, in the canonical layout: one row
a transition, as diffstitch writes and imports it. A Dict of observations is
flattened in the order of its names, or in the one of --observations.

D4RL's infos and metadata are left out; what D* says of where its rows come from
is kept, in D4RL's file under diffstitch/, in Minari's in infos and attributes.
Data goes through memory an episode or a row group at a time, and what is written
is there whole or not at all. Needs requirements.txt.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile

try:
    import h5py
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    sys.exit(f"{error}: {sys.executable} -m pip install -r {pathlib.Path(__file__).with_name('requirements.txt')}")

ROW_GROUP = 20_000
BATCH = 20_000
ORIGINAL = "original"
WITHOUT_IDS = (ORIGINAL, "synther", "tatu")  # sources whose episodes are made of no others
PER_ROW = ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts")
PROVENANCE = ("source", "low_episode_id", "high_episode_id")  # of an episode
# Provenance of a row: its type, and what HDF5 holds in the place of a null.
ORIGINS = {
    "generated": (np.bool_, False),
    "from_episode_id": (np.int64, -1),
    "from_step": (np.int32, -1),
    "qualification_error": (np.float32, np.nan),
    "refinement_residual": (np.float32, np.nan),
}


class Episode:
    """One trajectory of T rows: arrays as the columns of D* hold them."""

    def __init__(self, number, observations, actions, rewards, final, terminal, next_observations=None, provenance=None):
        self.id = number
        self.observations = np.asarray(observations, np.float32)  # [T, S]
        self.actions = np.asarray(actions, np.float32)  # [T, A]
        self.rewards = np.asarray(rewards, np.float32)  # [T]
        self.terminal = terminal  # else it ended by a time limit
        self.provenance = provenance  # (source, low, high, {ORIGINS: [T]}); None where nothing is known
        if next_observations is None:
            # What is not known repeats the last observation.
            final = self.observations[-1] if final is None else np.asarray(final, np.float32)
            next_observations = np.concatenate([self.observations[1:], final[None]])
        self.next_observations = np.asarray(next_observations, np.float32)  # [T, S]

    def __len__(self):
        return len(self.rewards)

    def final(self):
        """The observation after the last step; the last one where it is not known."""
        return self.next_observations[-1]


def origins(number, get):
    """ORIGINS of rows: those that get(name) gives, else what stands for a null."""
    found = {}
    for name, (kind, null) in ORIGINS.items():
        values = get(name)
        found[name] = np.full(number, null, kind) if values is None else np.asarray(values, kind)
    return found


def rows(array):
    """[T, ...] as [T, n]; Discrete spaces have one value a row."""
    return np.asarray(array).reshape(len(array), -1)


# ---- HDF5 to episodes


def d4rl_episodes(file):
    missing = [k for k in ("observations", "actions", "rewards", "terminals") if k not in file]
    if missing:
        sys.exit(f"{file.filename}: no {', '.join(missing)}: this is not D4RL's layout")
    left_out = sorted(k for k in file if k not in PER_ROW + ("diffstitch",))
    if left_out:
        print(f"left out: {', '.join(left_out)}", file=sys.stderr)
    terminals = np.asarray(file["terminals"][:], bool).reshape(-1)
    timeouts = np.asarray(file["timeouts"][:], bool).reshape(-1) if "timeouts" in file else np.zeros_like(terminals)
    if "timeouts" not in file:
        print("no timeouts: episodes end at terminals alone", file=sys.stderr)
    ends = np.flatnonzero(terminals | timeouts) + 1
    if len(terminals) and (len(ends) == 0 or ends[-1] != len(terminals)):
        ends = np.append(ends, len(terminals))  # the data ends in an episode
    own = file.get("diffstitch")
    start = 0
    for number, end in enumerate(ends.tolist()):
        span = slice(start, end)
        provenance, name = None, number
        if own is not None:
            name = int(own["episode_id"][start])
            provenance = (
                own["source"][start].decode(), int(own["low_episode_id"][start]), int(own["high_episode_id"][start]),
                origins(end - start, lambda name: own[name][span] if name in own else None),
            )
        yield Episode(
            name, rows(file["observations"][span]), rows(file["actions"][span]), file["rewards"][span].reshape(-1), None,
            bool(terminals[end - 1]), rows(file["next_observations"][span]) if "next_observations" in file else None, provenance,
        )
        start = end


def flat(group, names):
    """The values of a space, [T+1, n], in the order of the names of its parts."""
    if isinstance(group, h5py.Dataset):
        return rows(group[:])
    return np.concatenate([flat(group[name], None) for name in (names or sorted(group))], axis=1)


def minari_episodes(file, names):
    numbers = sorted(int(k.removeprefix("episode_")) for k in file if k.startswith("episode_"))
    for number in numbers:
        group = file[f"episode_{number}"]
        observations = flat(group["observations"], names)
        steps = len(group["rewards"])
        if len(observations) != steps + 1:
            sys.exit(f"{file.filename}: episode {number}: {len(observations)} observations of {steps} steps, want one more")
        final = observations[-1]
        if np.array_equal(final, observations[-2]):
            final = None  # repeated where it is not known
        provenance = None
        if "source" in group.attrs:
            infos = group["infos"]
            provenance = (
                str(group.attrs["source"]), int(group.attrs.get("low_episode_id", -1)), int(group.attrs.get("high_episode_id", -1)),
                origins(steps, lambda name: infos[name][:steps] if name in infos else None),
            )
        yield Episode(
            int(group.attrs.get("episode_id", number)), observations[:-1], flat(group["actions"], None)[:steps], group["rewards"][:],
            final, bool(group["terminations"][-1]), provenance=provenance,
        )


def hdf5_episodes(path, names):
    path = pathlib.Path(path)
    for below in ("main_data.hdf5", "data/main_data.hdf5"):
        if path.is_dir() and (path / below).exists():
            path = path / below
    with h5py.File(path, "r") as file:
        if any(k.startswith("episode_") for k in file):
            yield from minari_episodes(file, names.split("+") if names else None)
        else:
            yield from d4rl_episodes(file)


# ---- episodes to Parquet


def floats(values):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def table(episodes):
    count = [len(e) for e in episodes]
    last = np.zeros(sum(count), bool)
    last[np.cumsum(count) - 1] = True
    terminal = np.repeat([e.terminal for e in episodes], count)
    columns = {
        "episode_id": np.repeat(np.array([e.id for e in episodes], np.int64), count),
        "step": np.concatenate([np.arange(n, dtype=np.int32) for n in count]),
        "observations": floats(np.concatenate([e.observations for e in episodes])),
        "actions": floats(np.concatenate([e.actions for e in episodes])),
        "rewards": np.concatenate([e.rewards for e in episodes]),
        "next_observations": floats(np.concatenate([e.next_observations for e in episodes])),
        "terminals": last & terminal,
        "timeouts": last & ~terminal,
    }
    known = [e.provenance or (ORIGINAL, 0, 0, origins(len(e), lambda _: None)) for e in episodes]
    unnamed = np.repeat([p[0] in WITHOUT_IDS for p in known], count)
    columns["source"] = pa.array(np.repeat([p[0] for p in known], count))
    columns["low_episode_id"] = pa.array(np.repeat(np.array([p[1] for p in known], np.int64), count), mask=unnamed)
    columns["high_episode_id"] = pa.array(np.repeat(np.array([p[2] for p in known], np.int64), count), mask=unnamed)
    for name, (kind, null) in ORIGINS.items():
        values = np.concatenate([p[3][name] for p in known])
        columns[name] = pa.array(values) if kind is np.bool_ else pa.array(values, mask=np.isnan(values) | (values == null))
    return pa.table(columns)


def write_parquet(episodes, out):
    handle, temporary = tempfile.mkstemp(dir=pathlib.Path(out).parent, prefix=".")
    os.close(handle)
    total, writer, waiting = [0, 0], None, []
    try:
        for episode in episodes:
            total[0] += 1
            total[1] += len(episode)
            waiting.append(episode)
            if sum(map(len, waiting)) >= ROW_GROUP:
                writer, waiting = append(writer, temporary, waiting), []
        if waiting:
            writer = append(writer, temporary, waiting)
        if writer is None:
            sys.exit("the source holds no episode")
        writer.close()
        os.chmod(temporary, 0o644)
        os.replace(temporary, out)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    print(f"{total[0]} episodes, {total[1]} transitions: {out}")


def append(writer, path, episodes):
    group = table(episodes)
    if writer is None:
        writer = pq.ParquetWriter(path, group.schema, compression="zstd", write_page_index=True)
    writer.write_table(group, row_group_size=len(group))
    return writer


# ---- Parquet to episodes


def parquet_episodes(path):
    path = pathlib.Path(path)
    files = sorted(path.glob("**/*.parquet")) if path.is_dir() else [path]
    if not files:
        sys.exit(f"{path} holds no *.parquet")
    for file in files:
        yield from file_episodes(file)


def file_episodes(path):
    rest = None
    for batch in pq.ParquetFile(path).iter_batches(BATCH):
        part = pa.Table.from_batches([batch])
        rest = part if rest is None else pa.concat_tables([rest, part])
        ids = rest["episode_id"].to_numpy()
        starts = np.flatnonzero(np.diff(ids)) + 1
        begin = 0
        for end in starts.tolist():
            yield from_rows(rest.slice(begin, end - begin))
            begin = end
        rest = rest.slice(begin).combine_chunks()
    if rest is not None and len(rest):
        yield from_rows(rest)


def vectors(part, name):
    return part[name].combine_chunks().flatten().to_numpy().reshape(len(part), -1)


def column(part, name):
    """The values of ORIGINS' column; None where there is none."""
    if name not in part.column_names:
        return None
    return part[name].fill_null(ORIGINS[name][1]).to_numpy()


def from_rows(part):
    provenance = None
    if all(name in part.column_names for name in PROVENANCE):
        provenance = (
            part["source"][0].as_py(), part["low_episode_id"][0].as_py(), part["high_episode_id"][0].as_py(),
            origins(len(part), lambda name: column(part, name)),
        )
    return Episode(
        part["episode_id"][0].as_py(), vectors(part, "observations"), vectors(part, "actions"), part["rewards"].to_numpy(), None,
        part["terminals"][-1].as_py(), vectors(part, "next_observations"), provenance,
    )


# ---- episodes to HDF5


class Growing:
    """Datasets that rows are added to."""

    def __init__(self, group):
        self.group = group

    def add(self, name, values):
        if name not in self.group:
            self.group.create_dataset(name, data=values, maxshape=(None, *values.shape[1:]), chunks=True)
            return
        dataset = self.group[name]
        before = len(dataset)
        dataset.resize(before + len(values), axis=0)
        dataset[before:] = values


def export_d4rl(episodes, path):
    with h5py.File(path, "w") as file:
        data, own = Growing(file), Growing(file.create_group("diffstitch"))
        for e in episodes:
            end = np.arange(len(e)) == len(e) - 1
            for name, values in zip(PER_ROW, (e.observations, e.actions, e.rewards, e.next_observations, end & e.terminal, end & (not e.terminal))):
                data.add(name, values)
            source, low, high, of_rows = e.provenance or (ORIGINAL, None, None, origins(len(e), lambda _: None))
            own.add("episode_id", np.full(len(e), e.id, np.int64))
            own.add("source", np.full(len(e), source, "S16"))
            own.add("low_episode_id", np.full(len(e), -1 if low is None else low, np.int64))
            own.add("high_episode_id", np.full(len(e), -1 if high is None else high, np.int64))
            for name, values in of_rows.items():
                own.add(name, values)
            yield e


def box(low, high):
    return json.dumps({"type": "Box", "dtype": "float32", "shape": [len(low)], "low": list(map(float, low)), "high": list(map(float, high))})


def export_minari(episodes, folder, name):
    data = pathlib.Path(folder) / "data"
    data.mkdir()
    low = high = None
    count = steps = 0
    with h5py.File(data / "main_data.hdf5", "w", track_order=True) as file:
        for e in episodes:
            low = e.actions.min(axis=0) if low is None else np.minimum(low, e.actions.min(axis=0))
            high = e.actions.max(axis=0) if high is None else np.maximum(high, e.actions.max(axis=0))
            end = np.arange(len(e)) == len(e) - 1
            group = file.create_group(f"episode_{count}")
            group.attrs.update({"id": count, "total_steps": len(e), "episode_id": e.id})
            group["observations"] = np.concatenate([e.observations, e.final()[None]])
            group["actions"] = e.actions
            group["rewards"] = e.rewards.astype(np.float64)
            group["terminations"] = end & e.terminal
            group["truncations"] = end & (not e.terminal)
            if e.provenance:
                source, low_id, high_id, of_rows = e.provenance
                group.attrs["source"] = source
                if source not in WITHOUT_IDS:
                    group.attrs.update({"low_episode_id": low_id, "high_episode_id": high_id})
                infos = group.create_group("infos")
                for column_name, values in of_rows.items():
                    infos[column_name] = np.append(values, np.asarray(ORIGINS[column_name][1], values.dtype))
            count, steps, width = count + 1, steps + len(e), e.observations.shape[1]
            yield e
    if count == 0:
        return
    (data / "metadata.json").write_text(json.dumps({
        "total_episodes": count, "total_steps": steps, "data_format": "hdf5",
        "observation_space": box([-np.inf] * width, [np.inf] * width), "action_space": box(low, high),
        "dataset_id": name, "minari_version": "0.5.0",
        "dataset_size": round((data / "main_data.hdf5").stat().st_size / 1e6, 1),
        "description": "Exported by diffstitch; the action space is the range of the actions in the data.",
    }))


def write_hdf5(layout, source, out, name):
    """Fills a temporary folder and moves what is in it to its place."""
    out = pathlib.Path(out)
    if out.exists():
        sys.exit(f"{out} is there already: remove it, or name another")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(dir=out.parent, prefix="."))
    try:
        total = unknown = own = 0
        made = temporary / "file" if layout == "d4rl" else temporary / "folder"
        if layout == "minari":
            made.mkdir()
        written = export_d4rl(parquet_episodes(source), made) if layout == "d4rl" else export_minari(parquet_episodes(source), made, name)
        for e in written:
            total += 1
            unknown += np.array_equal(e.final(), e.observations[-1])
            own += not np.array_equal(e.next_observations[:-1], e.observations[1:])
        if total == 0:
            sys.exit("the source holds no episode")
        made.rename(out)
    finally:
        shutil.rmtree(temporary)
    print(f"{total} episodes: {out}")
    if unknown:
        print(f"{unknown} episodes have no known observation after the last step: it repeats the last")
    if own and layout == "minari":
        print(f"{own} episodes have next observations of their own, for which the layout has no place: they are left out")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("import")
    reading.add_argument("source")
    reading.add_argument("out")
    reading.add_argument("--observations", help="order of a Dict's parts: name+name")
    writing = commands.add_parser("export")
    writing.add_argument("layout", choices=("d4rl", "minari"))
    writing.add_argument("source")
    writing.add_argument("out")
    writing.add_argument("--id", help="what Minari calls the dataset (default the name of OUT_FOLDER)")
    given = parser.parse_args()
    try:
        if given.command == "import":
            write_parquet(hdf5_episodes(given.source, given.observations), given.out)
        else:
            write_hdf5(given.layout, given.source, given.out, given.id or pathlib.Path(given.out).name)
    except (OSError, ValueError) as error:  # pyarrow's are among these
        sys.exit(f"making {given.out} of {given.source}: {error}")


if __name__ == "__main__":
    main()
