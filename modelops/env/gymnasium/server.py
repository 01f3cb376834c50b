"""Runs copies of a Gymnasium environment for diffstitch, at the other end of a pipe.

Usage: server.py FOLDER, where FOLDER is searched for modules.

Reads requests from standard input and answers each on standard output. A frame
is a length (uint32), a kind (one byte) and a body of length - 1 bytes; numbers
are little-endian, and arrays are C-contiguous:

  request                                            answer
  h  JSON: name, options, copies, simulator             h  JSON: the specification
  r  seeds uint64 [n]                                o  observations float32 [n, S]
  s  actions float32 [n, A]                          s  observations float32 [n, S], rewards float32 [n],
                                                        terminals, timeouts, successes uint8 [n] each
  f  observations float32 [m, S], then               f  next observations float32 [m, S], rewards float32 [m]
     actions float32 [m, A]

An answer of kind e is an error in words (UTF-8), with a first line that names its
kind: "missing PACKAGE", "unknown" or "failed". The end of the input is the end.
"""

import json
import os
import re
import signal
import struct
import sys


class Refusal(Exception):
    """An error of a kind that the other side tells apart."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def load():
    """Imports what everything below needs."""
    global gym, np
    try:
        import gymnasium as gym
        import numpy as np
    except ImportError as error:
        raise Refusal("missing gymnasium[mujoco]", str(error)) from error


RESET = "reset."  # begins the names of the options of reset


def make(name, options):
    """Makes one copy."""
    try:
        register(name)
        # The checker's warnings are for the environment's authors.
        return gym.make(name, disable_env_checker=True, **{k: v for k, v in options.items() if not k.startswith(RESET)})
    except TypeError as error:
        if not options:
            raise
        raise Refusal("unknown", f"of its options {', '.join(options)} it does not take all: {error}") from error
    except gym.error.DependencyNotInstalled as error:
        raise Refusal("missing gymnasium[mujoco]", str(error)) from error
    except (gym.error.Error, ModuleNotFoundError) as error:
        raise Refusal("unknown", str(error)) from error


def register(name):
    """Registers the environments of gymnasium-robotics, if it takes them to know the name."""
    if name in gym.registry or not re.match("PointMaze|AntMaze|Adroit|Fetch|Hand|FrankaKitchen", name):
        return
    try:
        import gymnasium_robotics
    except ImportError as error:
        raise Refusal("missing gymnasium-robotics", str(error)) from error
    gym.register_envs(gymnasium_robotics)


def reset_options(name, options):
    """What reset(options=...) gets, None of nothing. Lists become arrays."""
    found = {k.removeprefix(RESET): np.asarray(v) if isinstance(v, list) else v for k, v in options.items() if k.startswith(RESET)}
    if re.match("PointMaze|AntMaze", name):  # which pass over what they do not know
        known = ("goal_cell", "reset_cell")
        for k in found:
            if k not in known:
                raise Refusal("unknown", f"its episodes take no option {k}; they take {', '.join(known)}")
    return found or None


def observation_space(env):
    """The space of what policies see: of goal environments the state without the goals."""
    space = env.observation_space
    if isinstance(space, gym.spaces.Dict) and "observation" in space.spaces:
        space = space["observation"]
    for what, s in (("observations", space), ("actions", env.action_space)):
        if not isinstance(s, gym.spaces.Box):
            raise Refusal("unknown", f"its {what} are a {s}: only vectors of numbers (Box) are supported")
    return space


def flat(observation):
    if isinstance(observation, dict):
        observation = observation["observation"]
    return np.asarray(observation, np.float32).reshape(-1)


class Copies:
    """n copies, stepped one after the other; one that ended stays as it is."""

    def __init__(self, name, options, n):
        self.envs = [make(name, options) for _ in range(n)]
        self.options = reset_options(name, options)
        env = self.envs[0]
        self.family = re.split("[-_]", name.split(":")[-1].split("/")[-1])[0]
        space = observation_space(env)
        self.low, self.high = (np.asarray(b, np.float32).reshape(-1) for b in (env.action_space.low, env.action_space.high))
        self.shape, self.dtype = env.action_space.shape, env.action_space.dtype
        self.S, self.A = int(np.prod(space.shape)), self.low.size
        self.observations = np.zeros((n, self.S), np.float32)
        self.terminals = np.ones(n, np.uint8)
        self.timeouts = np.zeros(n, np.uint8)
        self.successes = np.zeros(n, np.uint8)
        self.tells = self.try_out()

    def try_out(self):
        """Begins an episode and takes a step, so that what the options spoil is known now: whether a step tells success."""
        env = self.envs[0]
        try:
            env.reset(seed=0, options=self.options)
        except Exception as error:
            if not self.options:
                raise
            raise Refusal("unknown", f"its episodes do not begin with the options {', '.join(self.options)}: {error}") from error
        return "success" in env.step(self.action(np.zeros(self.A)))[4]

    def specification(self):
        env = self.envs[0]
        return {
            "observation_dim": self.S,
            "action_dim": self.A,
            "max_steps": env.spec.max_episode_steps or 0,
            # JSON has no infinity.
            "action_low": np.maximum(self.low, -3e38).tolist(),
            "action_high": np.minimum(self.high, 3e38).tolist(),
            "tells_success": self.tells,
            "unobserved": UNSEEN.get(self.family, ""),
            "versions": versions(),
        }

    def action(self, values):
        return np.clip(values, self.low, self.high).reshape(self.shape).astype(self.dtype)

    def reset(self, body):
        seeds = np.frombuffer(body, "<u8")
        if len(seeds) != len(self.envs):
            raise Refusal("failed", f"{len(seeds)} seeds for {len(self.envs)} copies")
        for i, env in enumerate(self.envs):
            self.observations[i] = flat(env.reset(seed=int(seeds[i]), options=self.options)[0])
        self.terminals[:] = 0
        self.timeouts[:] = 0
        self.successes[:] = 0
        return b"o", self.observations.tobytes()

    def step(self, body):
        actions = np.frombuffer(body, "<f4").reshape(len(self.envs), self.A)
        rewards = np.zeros(len(self.envs), np.float32)
        for i, env in enumerate(self.envs):
            if self.terminals[i] or self.timeouts[i]:
                continue
            observation, rewards[i], terminal, timeout, info = env.step(self.action(actions[i]))
            self.observations[i] = flat(observation)
            self.terminals[i], self.timeouts[i] = terminal, timeout and not terminal
            self.successes[i] = bool(info.get("success", False))
        return b"s", b"".join(a.tobytes() for a in (self.observations, rewards, self.terminals, self.timeouts, self.successes))

    def close(self):
        for env in self.envs:
            env.close()


def versions():
    found = {"python": sys.version.split()[0], "gymnasium": gym.__version__}
    for package in ("mujoco", "gymnasium_robotics"):
        if package in sys.modules:
            found[package] = sys.modules[package].__version__
    return found


# Environments whose state is their observation but for the position along the
# track, which nothing depends on: how many of qpos are not observed.
UNOBSERVED = {"Hopper": 1, "HalfCheetah": 1, "Walker2d": 1}
# Velocities are clipped at 10 in the observations of these: beyond, they are not known.
CLIPPED = {"Hopper": 9.99, "Walker2d": 9.99}


# Mazes, and what in them moves. Their rewards depend on the goal, which is not observed.
MAZES = {"PointMaze": "point_env", "AntMaze": "ant_env"}
# What of a state is not observed though something depends on it, and what is taken for it.
UNSEEN = {"AntMaze": "where in the maze the ant is: it is replayed far from any wall, and a transition that touches one seems false"}


class Simulator(Copies):
    """One copy whose state is set before each step."""

    def __init__(self, name, options):
        super().__init__(name, options, 1)
        self.env = self.envs[0].unwrapped
        if self.family not in MAZES and self.family not in UNOBSERVED:
            known = ", ".join([*MAZES, *UNOBSERVED])
            raise Refusal("unknown", f"the state of {name} cannot be set from an observation; it can for {known}")
        self.envs[0].reset(seed=0, options=self.options)

    def step_from(self, body):
        rows, rest = divmod(len(body), 4 * (self.S + self.A))
        if rest:
            raise Refusal("failed", f"{len(body)} bytes are no rows of {self.S} and {self.A} numbers")
        states = np.frombuffer(body, "<f4", rows * self.S).reshape(rows, self.S)
        actions = np.frombuffer(body, "<f4", offset=states.nbytes).reshape(rows, self.A)
        following = np.full((rows, self.S), np.nan, np.float32)
        rewards = np.full(rows, np.nan, np.float32)
        for i in range(rows):
            if np.isfinite(states[i]).all() and self.set(states[i].astype(np.float64)):
                following[i], rewards[i] = self.advance(self.action(actions[i]))
        return b"f", following.tobytes() + rewards.tobytes()

    def set(self, state):
        """Sets the state, or says that it is not known."""
        if self.family == "PointMaze":
            env = self.env.point_env
            positions, velocities = state[:2], state[2:]
        elif self.family == "AntMaze":
            env = self.env.ant_env
            observed = env.model.nq - 2
            positions = np.concatenate([self.env.maze.unique_reset_locations[0], state[:observed]])
            velocities = state[observed : observed + env.model.nv]
        else:
            env = self.env
            root = UNOBSERVED[self.family]
            observed = env.model.nq - root
            positions, velocities = np.concatenate([np.zeros(root), state[:observed]]), state[observed:]
            if np.abs(velocities).max() >= CLIPPED.get(self.family, np.inf):
                return False
        # Whatever the step before left, such as the solver's first guess, is gone.
        sys.modules["mujoco"].mj_resetData(env.model, env.data)
        env.set_state(positions, velocities)
        return True

    def advance(self, action):
        if self.family not in MAZES:
            observation, reward = self.env.step(action)[:2]
            return flat(observation), reward
        observation = flat(getattr(self.env, MAZES[self.family]).step(action)[0])
        return observation[len(observation) - self.S :], np.nan  # an ant's begins with its place


def read(source, size):
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    return data


def write(sink, kind, body):
    sink.write(struct.pack("<I", len(body) + 1) + kind + body)
    sink.flush()


def start(body):
    asked = json.loads(body)
    load()
    name, options = asked["name"], asked["options"] or {}
    host = Simulator(name, options) if asked["simulator"] else Copies(name, options, asked["copies"])
    return host, json.dumps(host.specification()).encode()


def answer(host, kind, body):
    if kind == b"r":
        return host.reset(body)
    if kind == b"s":
        return host.step(body)
    if kind == b"f" and isinstance(host, Simulator):
        return host.step_from(body)
    raise Refusal("failed", f"a request of kind {kind}")


def serve(source, sink):
    host = None
    while True:
        try:
            (size,) = struct.unpack("<I", read(source, 4))
            kind, body = read(source, 1), read(source, size - 1)
        except EOFError:
            break
        try:
            if kind == b"h":
                host, body = start(body)
                write(sink, b"h", body)
            else:
                write(sink, *answer(host, kind, body))
        except Refusal as refusal:
            write(sink, b"e", f"{refusal.kind}\n{refusal}".encode())
        except Exception as error:  # of the environment, which may raise anything
            write(sink, b"e", f"failed\n{type(error).__name__}: {error}".encode())
    if host is not None:
        host.close()


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side decides what an interrupt ends
    # What libraries print goes where errors go.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.path[0] = sys.argv[1]  # where environments of the user's own may be
    serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
