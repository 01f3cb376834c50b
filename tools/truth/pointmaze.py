"""Judges the stitches of a D* by Gymnasium-Robotics' PointMaze_Medium-v3.

Sets the simulator to the state before each generated transition, applies the
inferred action, and compares the position it reaches with the generated one.
Prints, for shares of the stitches kept by qualification error, the median over
stitches of the worst position error of a stitch (the maze is 8 wide), and the
rank correlation of the two errors. Publish D* with `--delta off --emit bridge`.

Usage: pointmaze.py DSTAR_PARQUET...
Needs gymnasium-robotics, mujoco, numpy, pyarrow, scipy.
"""

import sys

import gymnasium as gym
import gymnasium_robotics
import numpy as np
import pyarrow.parquet as pq
from scipy.stats import spearmanr

SHARES = [0.05, 0.1, 0.2, 0.4, 1.0]


def column(table, name):
    return table[name].combine_chunks().flatten().to_numpy().reshape(len(table), -1)


def true_next(env, state, action):
    point = env.unwrapped.point_env
    point.set_state(state[:2].astype(np.float64), state[2:].astype(np.float64))
    return point.step(action)[0]


def main():
    table = pq.read_table(sys.argv[1:])
    table = table.filter(table["generated"])
    states, nexts, actions = (column(table, name) for name in ("observations", "next_observations", "actions"))
    episodes = table["episode_id"].to_numpy()
    qualification = table["qualification_error"].to_numpy()

    gym.register_envs(gymnasium_robotics)
    env = gym.make("PointMaze_Medium-v3")
    env.reset(seed=0)
    truth = np.array([np.linalg.norm(true_next(env, s, a)[:2] - n[:2]) for s, a, n in zip(states, actions, nexts)])

    ids = np.unique(episodes)
    worst = np.array([truth[episodes == i].max() for i in ids])
    error = np.array([qualification[episodes == i].max() for i in ids])
    order = np.argsort(error)
    print(f"{len(ids)} stitches, {len(truth)} generated transitions, Spearman {spearmanr(error, worst)[0]:.3f}")
    for share in SHARES:
        kept = order[: max(1, round(share * len(order)))]
        print(f"kept {share:4.0%}  worst step's position error, median: {np.median(worst[kept]):.3f}")


if __name__ == "__main__":
    main()
