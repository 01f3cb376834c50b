#!/usr/bin/env python3
"""The learners against d3rlpy (PyTorch) on the same cores.

    pip install d3rlpy "gymnasium[mujoco]" pyarrow
    python3 tools/bench/learners_peer.py speed
    python3 tools/bench/learners_peer.py scores --data hopper-medium-replay.parquet --learner iql --steps 10000 --seeds 5

speed runs the Go benchmark and d3rlpy's updates in turn, twice, on made-up data of Hopper's dimensions with the sizes of CORL's defaults, d3rlpy with one thread and with one a core, and prints the best of each: updates a second, and CPU milliseconds an update.

scores trains both on a dataset of one row a transition, for the same seeds and updates, and rolls both out in Gymnasium's Hopper-v5 from the same beginnings: ours by `diffstitch evaluate` (make build), d3rlpy with the settings that the evaluation says it had. It prints each seed's mean return, and whether Welch's t-test over the seeds tells the two apart (p < 0.05). Where the preset has IQL's actor deterministic, d3rlpy's has a spread that stays as it began: its likelihood is then the squared error, scaled.
"""

import argparse
import json
import logging
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

import d3rlpy
import numpy as np
import pyarrow.parquet as pq
import structlog
import torch
from scipy import stats

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = "Hopper-v5"
LEARNERS = ["iql", "td3bc", "dt"]
sys.path.append(str(ROOT / "modelops/env/gymnasium"))
import server  # noqa: E402

server.load()
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # d3rlpy tells much
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
    print("| learner | d3rlpy | d3rlpy without drawing | one seed | three seeds at once, together |")
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


def own_scores(arguments, out):
    """The evaluation of `diffstitch evaluate`."""
    command = [
        arguments.diffstitch, "evaluate", "--data", arguments.data, "--learner", arguments.learner, "--steps", str(arguments.steps),
        "--env", ENVIRONMENT, "--preset", arguments.preset, f"--tiny={str(arguments.tiny).lower()}", "--python", sys.executable,
        "--seed", str(arguments.seed), "--seeds", str(arguments.seeds), "--episodes", str(arguments.episodes),
        "--backend", arguments.backend, "--out", out, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def like(settings, actions):
    """d3rlpy's algorithm with the settings of an evaluation's learner."""
    part, rewards = settings[settings["learner"]], settings["rewards"]
    scaler = d3rlpy.preprocessing.MultiplyRewardScaler(rewards["scale"])
    if rewards.get("by_returns"):
        scaler = d3rlpy.preprocessing.ReturnBasedRewardScaler(multiplier=rewards["scale"])
    common = {
        "batch_size": settings["batch"], "reward_scaler": scaler,
        "observation_scaler": d3rlpy.preprocessing.StandardObservationScaler(eps=settings["observation_epsilon"])}
    if settings["learner"] == "dt":
        return like_dt(settings, part, common, actions)
    hidden, rate = d3rlpy.models.VectorEncoderFactory([part["hidden"]] * 2), settings["learning_rate"]
    common |= {
        "gamma": part["discount"], "tau": part["tau"], "actor_learning_rate": rate, "critic_learning_rate": rate,
        "actor_encoder_factory": hidden, "critic_encoder_factory": hidden}
    if settings["learner"] == "td3bc":
        return d3rlpy.algos.TD3PlusBCConfig(
            alpha=part["alpha"], update_actor_interval=part["policy_delay"],
            target_smoothing_sigma=part["policy_noise"], target_smoothing_clip=part["noise_clip"], **common)
    falling = d3rlpy.optimizers.CosineAnnealingLRFactory(T_max=settings["steps"])
    return d3rlpy.algos.IQLConfig(
        value_encoder_factory=hidden, actor_optim_factory=d3rlpy.optimizers.AdamFactory(lr_scheduler_factory=falling),
        expectile=part["expectile"], weight_temp=part["beta"], max_weight=part["max_advantage"], **common)


def like_dt(settings, part, common, actions):
    """The Decision Transformer, whose loss d3rlpy sums over an action's numbers: its gradients are as many times as large, and so is their bound."""
    optimizer = d3rlpy.optimizers.AdamWFactory(
        weight_decay=part["weight_decay"], clip_grad_norm=part["gradient_clip"] * actions,
        lr_scheduler_factory=d3rlpy.optimizers.WarmupSchedulerFactory(part["warmup_steps"]))
    return d3rlpy.algos.DecisionTransformerConfig(
        encoder_factory=d3rlpy.models.VectorEncoderFactory([part["width"]], exclude_last_activation=True), activation_type="gelu",
        optim_factory=optimizer, learning_rate=settings["learning_rate"], context_size=part["context"], num_layers=part["layers"],
        max_timestep=part["episode_steps"], attn_dropout=part["dropout"], resid_dropout=part["dropout"], embed_dropout=part["dropout"], **common)


def trained(settings, data, seed):
    """d3rlpy's algorithm after as many updates."""
    d3rlpy.seed(seed)
    algorithm = like(settings, data.episodes[0].actions.shape[1]).create(device="cpu")
    algorithm.build_with_dataset(data)
    if settings["learner"] == "iql" and settings["iql"]["deterministic"]:
        algorithm.impl.policy._logstd.requires_grad_(False)
    steps = settings["steps"]
    algorithm.fit(data, n_steps=steps, n_steps_per_epoch=steps, show_progress=False, logger_adapter=d3rlpy.logging.NoopAdapterFactory())
    return algorithm


def actor(algorithm, copies, target):
    """What gives the actions for the observations, and the rewards before them, of episodes at once."""
    if not target:
        return lambda observations, _: algorithm.predict(observations)
    each = [algorithm.as_stateful_wrapper(target_return=target) for _ in range(copies)]
    return lambda observations, rewards: np.stack([one.predict(o.copy(), r) for one, o, r in zip(each, observations, rewards)])


def rollouts(act, seed, episodes):
    """The returns of a policy's episodes, which begin as those of diffstitch do."""
    copies = server.Copies(ENVIRONMENT, episodes)
    copies.reset(np.array([start(seed, episode) for episode in range(episodes)], "<u8").tobytes())
    totals, rewards = np.zeros(episodes), np.zeros(episodes, np.float32)
    while not (copies.terminals | copies.timeouts).all():
        actions = np.asarray(act(copies.observations, rewards), "<f4")
        _, answer = copies.step(actions.tobytes())
        rewards = np.frombuffer(answer, "<f4", episodes, copies.observations.nbytes)
        totals += rewards  # 0 of those that ended before
    copies.close()
    return totals


def start(seed, episode):
    """The seed of an episode: trajectory.StreamSeed of the stage StageEvaluate."""
    return mixed(mixed(mixed(seed) ^ 8) ^ episode)


def mixed(z):
    """The finaliser of SplitMix64."""
    bits = (1 << 64) - 1
    z = (z + 0x9E3779B97F4A7C15) & bits
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & bits
    z = (z ^ z >> 27) * 0x94D049BB133111EB & bits
    return z ^ z >> 31


def scores(arguments):
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        evaluation = own_scores(arguments, scratch)
    settings, data, own, peer = evaluation["learner"], read(arguments.data), [], []
    for seed in evaluation["seeds"]:
        algorithm = trained(settings, data, seed["seed"])
        act = actor(algorithm, arguments.episodes, evaluation.get("target_return"))
        own.append(seed["return"])
        peer.append(np.mean(rollouts(act, seed["seed"], arguments.episodes)))
        print(f"seed {seed['seed']}: diffstitch {own[-1]:.0f}, d3rlpy {peer[-1]:.0f}", file=sys.stderr, flush=True)
    print(f"{json.dumps(settings)}\n\n| | " + " | ".join(f"seed {seed['seed']}" for seed in evaluation["seeds"]) + " | mean ± sd |")
    print("| --- " * (len(own) + 2) + "|")
    for name, returns in (("diffstitch", own), ("d3rlpy", peer)):
        cells = [f"{value:.0f}" for value in returns] + [f"{np.mean(returns):.0f} ± {np.std(returns, ddof=1):.0f}"]
        print(f"| {name} | {' | '.join(cells)} |")
    welch = stats.ttest_ind(own, peer, equal_var=False)
    low, high = welch.confidence_interval()
    verdict = "they differ" if welch.pvalue < 0.05 else "alike within noise"
    print(f"\ndiffstitch - d3rlpy: {np.mean(own) - np.mean(peer):.0f}, in [{low:.0f}, {high:.0f}] with 95 %, p = {welch.pvalue:.2f}: {verdict}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("speed").add_argument("--backend", default="xla", choices=["go", "xla"])
    peer = commands.add_parser("scores")
    peer.add_argument("--data", required=True)
    peer.add_argument("--learner", required=True, choices=LEARNERS)
    peer.add_argument("--steps", type=int, required=True)
    peer.add_argument("--seed", type=int, default=0, help="the first")
    peer.add_argument("--seeds", type=int, default=3)
    peer.add_argument("--episodes", type=int, default=10)
    peer.add_argument("--preset", default="hopper-medium-replay")
    peer.add_argument("--tiny", action="store_true", help="small nets and fast schedules")
    peer.add_argument("--backend", default="xla", choices=["go", "xla"])
    peer.add_argument("--diffstitch", default=str(ROOT / "bin/diffstitch"), help="the program")
    given = parser.parse_args()
    if given.command == "speed":
        speed(given.backend)
    else:
        scores(given)
