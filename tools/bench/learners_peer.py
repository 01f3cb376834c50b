#!/usr/bin/env python3
"""The learners against d3rlpy (PyTorch) on the same cores.

    pip install d3rlpy "gymnasium[mujoco]" pyarrow
    python3 tools/bench/learners_peer.py speed
    python3 tools/bench/learners_peer.py scores --data hopper-medium-replay.parquet --learner iql --steps 10000

speed runs the Go benchmark and d3rlpy's updates in turn, twice, on made-up data of Hopper's dimensions with the sizes of CORL's defaults, d3rlpy with one thread and with one a core, and prints the best of each: updates a second, and CPU milliseconds an update.

scores trains d3rlpy's learner on a dataset of one row a transition, with the settings of the preset for Hopper, and prints the mean return of each seed's episodes in Gymnasium's Hopper-v5, as `diffstitch evaluate` does of its own.
"""

import argparse
import os
import pathlib
import re
import resource
import subprocess
import time

import d3rlpy
import numpy as np
import pyarrow.parquet as pq
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEARNERS = ["iql", "td3bc", "dt"]
HIDDEN = d3rlpy.models.VectorEncoderFactory([256, 256])


def configuration(learner, **extra):
    """d3rlpy's configuration with the sizes and rates of CORL's defaults."""
    if learner == "iql":
        return d3rlpy.algos.IQLConfig(actor_encoder_factory=HIDDEN, critic_encoder_factory=HIDDEN, value_encoder_factory=HIDDEN, **extra)
    if learner == "td3bc":
        return d3rlpy.algos.TD3PlusBCConfig(actor_encoder_factory=HIDDEN, critic_encoder_factory=HIDDEN, **extra)
    return d3rlpy.algos.DecisionTransformerConfig(
        encoder_factory=d3rlpy.models.VectorEncoderFactory([128], exclude_last_activation=True),
        optim_factory=d3rlpy.optimizers.AdamWFactory(weight_decay=1e-4, clip_grad_norm=0.25), **extra)


def made_up(n):
    """Random transitions of Hopper's dimensions in episodes of 100."""
    rng = np.random.default_rng(0)
    terminals = np.zeros(n)
    terminals[99::100] = 1
    return d3rlpy.dataset.MDPDataset(
        rng.normal(size=(n, 11)).astype(np.float32), rng.uniform(-1, 1, (n, 3)).astype(np.float32),
        rng.normal(size=n).astype(np.float32), terminals)


def peer_speed(learner, data, updates):
    """Two pairs, updates a second and CPU milliseconds an update: as fit does, drawing a batch each time, and of one batch again and again."""
    algorithm = configuration(learner).create(device="cpu")
    algorithm.build_with_dataset(data)

    def draw():
        if learner == "dt":
            return data.sample_trajectory_batch(algorithm.config.batch_size, algorithm.config.context_size)
        return data.sample_transition_batch(algorithm.config.batch_size)

    batch = draw()
    return timed(lambda: algorithm.update(draw()), updates), timed(lambda: algorithm.update(batch), updates)


def timed(update, updates):
    for _ in range(3):
        update()
    begun, used = time.perf_counter(), cpu()
    for _ in range(updates):
        update()
    return updates / (time.perf_counter() - begun), (cpu() - used) * 1000 / updates


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def own_speed(learner, backend):
    """The same of the Go benchmark, for one seed and for three at once, by seed."""
    command = ["go", "test", "./modelops/learners", "-run", "^$", "-bench", f"Updates/{learner}/{backend}/", "-benchtime", "4x"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = {}
    for line in output.splitlines():
        match = re.match(r"Benchmark\S*seeds_(\d+)", line)
        if match:
            numbers = {unit: float(value) for value, unit in re.findall(r"([\d.]+) (\S+)", line)}
            found[int(match[1])] = numbers["seed-updates/s"], numbers["cpu-ms/seed-update"]
    return found


def speed(backend):
    data = made_up(100_000)
    print("| learner | d3rlpy | d3rlpy without drawing | one seed | three seeds at once, each |")
    print("| --- | --- | --- | --- | --- |")
    for learner in LEARNERS:
        own, peer = [], []
        for _ in range(2):
            own.append(own_speed(learner, backend))
            for threads in (1, os.cpu_count()):  # where others use the cores, too, PyTorch's threads lose more by waiting than they win
                torch.set_num_threads(threads)
                peer.append(peer_speed(learner, data, 5 if learner == "dt" else 100))
        runs = [[p[0] for p in peer], [p[1] for p in peer], [o[1] for o in own], [o[3] for o in own]]
        cells = [f"{max(r[0] for r in run):.1f}/s, {min(r[1] for r in run):.1f} ms" for run in runs]
        print(f"| {learner} | {' | '.join(cells)} |", flush=True)


def read(path):
    """A dataset as d3rlpy takes it."""
    table = pq.read_table(path)
    columns = [np.array(table[name].to_pylist(), np.float32) for name in ("observation", "action", "reward", "terminated", "truncated")]
    return d3rlpy.dataset.MDPDataset(*columns)


def hopper(learner, steps):
    """The settings of the preset for Hopper that d3rlpy has as well."""
    scaler = d3rlpy.preprocessing.StandardObservationScaler
    if learner == "iql":
        falling = d3rlpy.optimizers.AdamFactory(lr_scheduler_factory=d3rlpy.optimizers.CosineAnnealingLRFactory(T_max=steps))
        return configuration(learner, actor_optim_factory=falling, observation_scaler=scaler(eps=1e-3),
                             reward_scaler=d3rlpy.preprocessing.ReturnBasedRewardScaler(multiplier=1000))
    if learner == "td3bc":
        return configuration(learner, observation_scaler=scaler(eps=1e-3))
    return configuration(learner, observation_scaler=scaler(eps=1e-6), reward_scaler=d3rlpy.preprocessing.MultiplyRewardScaler(0.001))


def rollout(environment, act, seed):
    """The return of one episode."""
    observation, _ = environment.reset(seed=seed)
    reward, total, over = 0.0, 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = environment.step(act(observation, reward))
        total, over = total + reward, terminated or truncated
    return total


def scores(path, learner, steps, seeds, episodes, batch, target):
    import gymnasium

    data, environment = read(path), gymnasium.make("Hopper-v5")
    for seed in range(seeds):
        d3rlpy.seed(seed)
        algorithm = hopper(learner, steps)
        algorithm.batch_size = batch or algorithm.batch_size
        if learner == "dt":
            algorithm.optim_factory.lr_scheduler_factory = d3rlpy.optimizers.WarmupSchedulerFactory(max(steps // 10, 1))
        algorithm = algorithm.create(device="cpu")
        algorithm.fit(data, n_steps=steps, n_steps_per_epoch=steps, show_progress=False, logger_adapter=d3rlpy.logging.NoopAdapterFactory())
        returns = []
        for episode in range(episodes):
            if learner == "dt":
                actor = algorithm.as_stateful_wrapper(target_return=target)
                act = actor.predict
            else:
                def act(observation, _):
                    return algorithm.predict(observation[None].astype(np.float32))[0]
            returns.append(rollout(environment, act, episode))
        print(f"d3rlpy {learner} seed {seed}: {np.mean(returns):.1f} (episodes {np.std(returns):.1f})", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("speed").add_argument("--backend", default="xla", choices=["go", "xla"])
    peer = commands.add_parser("scores")
    peer.add_argument("--data", required=True)
    peer.add_argument("--learner", required=True, choices=LEARNERS)
    peer.add_argument("--steps", type=int, required=True)
    peer.add_argument("--seeds", type=int, default=3)
    peer.add_argument("--episodes", type=int, default=10)
    peer.add_argument("--batch", type=int, default=0, help="0 keeps the learner's default")
    peer.add_argument("--target", type=float, default=3600, help="return that the Decision Transformer aims at")
    given = parser.parse_args()
    if given.command == "speed":
        speed(given.backend)
    else:
        scores(given.data, given.learner, given.steps, given.seeds, given.episodes, given.batch, given.target)
