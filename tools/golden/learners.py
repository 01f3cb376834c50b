#!/usr/bin/env python3
"""What two updates make of each learner's arrays, by PyTorch's layers, gradients and optimizers.

    pip install torch numpy
    python3 tools/golden/learners.py > modelops/learners/testdata/updates.json

The arrays, batches and noise are waves, as in modelops/learners/golden_test.go, which reads the result. Everything is computed in float64, for one seed after the other.
"""

import json
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

SEEDS, BATCH, O, A, HIDDEN = 2, 4, 3, 2, 5
RATE, STEPS, TAU = 0.01, 6, 0.1
CONTEXT, LAYERS, WIDTH, EPISODE = 3, 2, 4, 3
FIRST, SECOND = "adam_first/", "adam_second/"


def wave(k, *dims):
    j = np.arange(math.prod(dims))
    return torch.tensor(0.4 * np.sin(1.7 * k + 0.9 * j + 1), dtype=torch.float64).reshape(dims)


def perceptron(name, inputs, outputs, copies):
    sizes = [inputs, HIDDEN, HIDDEN, outputs]
    shapes = {}
    for layer in range(3):
        shapes[f"{name}/layer_{layer}/weights"] = (copies, sizes[layer], sizes[layer + 1])
        shapes[f"{name}/layer_{layer}/bias"] = (copies, 1, sizes[layer + 1])
    return shapes


def run(w, name, x):
    """All copies of a net: [batch, inputs] -> [copies, batch, outputs]."""
    for layer in range(3):
        x = x @ w[f"{name}/layer_{layer}/weights"] + w[f"{name}/layer_{layer}/bias"]
        if layer < 2:
            x = F.relu(x)
    return x


def arrays(trained, targets):
    """The arrays of one seed after the other: seeds of name -> tensor."""
    shapes = dict(trained) | dict(targets)
    for name, shape in trained.items():
        shapes[FIRST + name] = shapes[SECOND + name] = shape
    seeds = [{} for _ in range(SEEDS)]
    for k, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        whole = wave(k, SEEDS * shape[0], *shape[1:])
        for seed in range(SEEDS):
            part = whole[seed * shape[0]:(seed + 1) * shape[0]].clone()
            if name.startswith((FIRST, SECOND)):
                continue  # the optimizer's, from zero
            seeds[seed][name] = part.requires_grad_(name in trained)
    return seeds


def result(seeds, optimizers):
    """Name -> numbers of all seeds, with the optimizers' moments."""
    found = {}
    for w, seed_optimizers in zip(seeds, optimizers):
        full = dict(w)
        for optimizer in seed_optimizers:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    name = next(n for n in w if w[n] is p)
                    full[FIRST + name] = optimizer.state[p]["exp_avg"]
                    full[SECOND + name] = optimizer.state[p]["exp_avg_sq"]
        for name, value in full.items():
            found.setdefault(name, []).extend(value.detach().flatten().tolist())
    return {name: [float(f"{v:.9g}") for v in values] for name, values in sorted(found.items())}


def of(w, *nets):
    return [p for name, p in sorted(w.items()) if name.split("/")[0] in nets]


def follow(w, target, net):
    with torch.no_grad():
        for name in w:
            if name.startswith(target + "/"):
                w[name].mul_(1 - TAU).add_(TAU * w[net + name[len(target):]])


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def batch(k, seed):
    alive = torch.tensor([[1, 0, 1, 1], [1, 1, 0, 1]], dtype=torch.float64)
    return (wave(100 + 10 * k, SEEDS, BATCH, O)[seed], wave(101 + 10 * k, SEEDS, BATCH, A)[seed], wave(102 + 10 * k, SEEDS, BATCH)[seed],
            alive[seed], wave(104 + 10 * k, SEEDS, BATCH, O)[seed], wave(105 + 10 * k, SEEDS, BATCH, A)[seed])


def iql(deterministic):
    discount, beta, expectile = 0.99, 3, 0.7
    trained = perceptron("actor", O, A, 1) | perceptron("value", O, 1, 1) | perceptron("critics", O + A, 1, 2)
    if not deterministic:
        trained["actor/log_std"] = (1, A)
    seeds = arrays(trained, perceptron("targets", O + A, 1, 2))
    optimizers = []
    for seed, w in enumerate(seeds):
        value, critics, actor = (torch.optim.Adam(of(w, net), lr=RATE) for net in ("value", "critics", "actor"))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(actor, STEPS)
        for k in range(2):
            s, a, r, alive, s2, _ = batch(k, seed)
            sa = torch.cat([s, a], 1)
            with torch.no_grad():
                next_value = run(w, "value", s2)[0, :, 0]
                target = run(w, "targets", sa)[:, :, 0].min(0).values
            advantage = target - run(w, "value", s)[0, :, 0]
            step(value, (torch.abs(expectile - (advantage < 0).double()) * advantage**2).mean())
            goal = r + alive * discount * next_value
            q = run(w, "critics", sa)[:, :, 0]
            step(critics, (F.mse_loss(q[0], goal) + F.mse_loss(q[1], goal)) / 2)
            follow(w, "targets", "critics")
            weight = torch.exp(beta * advantage.detach()).clamp(max=100)
            mean = torch.tanh(run(w, "actor", s)[0])
            if deterministic:
                cloning = ((mean - a) ** 2).sum(1)
            else:
                spread = torch.exp(w["actor/log_std"].clamp(-20, 2))
                cloning = -torch.distributions.Normal(mean, spread).log_prob(a).sum(-1)
            step(actor, (weight * cloning).mean())
            schedule.step()
        optimizers.append([value, critics, actor])
    return result(seeds, optimizers)


def td3bc():
    discount, noise_scale, noise_clip, alpha = 0.99, 0.2, 0.5, 2.5
    trained = perceptron("actor", O, A, 1) | perceptron("critics", O + A, 1, 2)
    seeds = arrays(trained, perceptron("target_actor", O, A, 1) | perceptron("target_critics", O + A, 1, 2))
    optimizers = []
    for seed, w in enumerate(seeds):
        critics, actor = (torch.optim.Adam(of(w, net), lr=RATE) for net in ("critics", "actor"))
        for k in range(2):
            s, a, r, alive, s2, noise = batch(k, seed)
            with torch.no_grad():
                a2 = (torch.tanh(run(w, "target_actor", s2)[0]) + (noise * noise_scale).clamp(-noise_clip, noise_clip)).clamp(-1, 1)
                target = r + alive * discount * run(w, "target_critics", torch.cat([s2, a2], 1))[:, :, 0].min(0).values
            q = run(w, "critics", torch.cat([s, a], 1))[:, :, 0]
            step(critics, F.mse_loss(q[0], target) + F.mse_loss(q[1], target))
        pi = torch.tanh(run(w, "actor", s)[0])
        q = run(w, "critics", torch.cat([s, pi], 1))[0, :, 0]
        step(actor, -alpha / q.abs().mean().detach() * q.mean() + F.mse_loss(pi, a))
        follow(w, "target_actor", "actor")
        follow(w, "target_critics", "critics")
        optimizers.append([critics, actor])
    return result(seeds, optimizers)


def transformer(w, returns, s, a, times):
    """Predicted actions, [batch, context, A]."""
    def dense(name, x):
        return x @ w[name + "/weights"][0] + w[name + "/bias"][0]

    def norm(name, x):
        return F.layer_norm(x, (WIDTH,), w[name + "/scale"][0, 0], w[name + "/bias"][0, 0])

    time = w["time"][0][times.clamp(max=EPISODE + CONTEXT - 1)]
    parts = [dense("return", returns[..., None]) + time, dense("observation", s) + time, dense("action", a) + time]
    x = norm("embedded_norm", torch.stack(parts, 2).reshape(len(s), 3 * CONTEXT, WIDTH))
    for layer in range(LAYERS):
        block = f"block_{layer}"
        q, k, v = dense(block + "/attention", norm(block + "/attention_norm", x)).split(WIDTH, -1)
        x = x + dense(block + "/projection", F.scaled_dot_product_attention(q, k, v, is_causal=True))
        x = x + dense(block + "/output", F.gelu(dense(block + "/hidden", norm(block + "/hidden_norm", x))))
    return torch.tanh(dense("head", norm("output_norm", x)[:, 1::3]))


def dt():
    warmup = 4
    trained = {"time": (1, EPISODE + CONTEXT, WIDTH)}

    def dense(name, inputs, outputs):
        trained[name + "/weights"], trained[name + "/bias"] = (1, inputs, outputs), (1, 1, outputs)

    def norm(name):
        trained[name + "/scale"] = trained[name + "/bias"] = (1, 1, WIDTH)

    dense("return", 1, WIDTH), dense("observation", O, WIDTH), dense("action", A, WIDTH), norm("embedded_norm")
    for layer in range(LAYERS):
        block = f"block_{layer}"
        norm(block + "/attention_norm"), dense(block + "/attention", WIDTH, 3 * WIDTH), dense(block + "/projection", WIDTH, WIDTH)
        norm(block + "/hidden_norm"), dense(block + "/hidden", WIDTH, 4 * WIDTH), dense(block + "/output", 4 * WIDTH, WIDTH)
    norm("output_norm"), dense("head", WIDTH, A)
    seeds = arrays(trained, {})
    optimizers = []
    step_number = torch.arange(CONTEXT)
    contexts = torch.arange(BATCH)
    times = contexts[:, None] + step_number
    known = ((contexts[:, None] % 2 == 0) | (step_number < 2)).double()
    for seed, w in enumerate(seeds):
        optimizer = torch.optim.AdamW(w.values(), lr=RATE, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min((n + 1) / warmup, 1))
        for k in range(2):
            returns, s, a = wave(100 + 10 * k, SEEDS, BATCH, CONTEXT)[seed], wave(101 + 10 * k, SEEDS, BATCH, CONTEXT, O)[seed], wave(102 + 10 * k, SEEDS, BATCH, CONTEXT, A)[seed]
            loss = ((transformer(w, returns, s, a, times) - a) ** 2 * known[..., None]).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(w.values(), 0.01)
            optimizer.step()
            schedule.step()
        optimizers.append([optimizer])
    return result(seeds, optimizers)


if __name__ == "__main__":
    json.dump({"iql": iql(False), "iql_deterministic": iql(True), "td3bc": td3bc(), "dt": dt()}, sys.stdout, separators=(",", ":"))
    print()
