#!/usr/bin/env python3
"""DiffStitch written plainly in PyTorch, as the paper and the authors' code have it, and the same work done as PyTorch does it well.

    pip install torch
    python3 tools/bench/authors_peer.py --net small --json peer.json

It knows nothing of diffstitch: random weights, random states, the sizes alone. What it prints, in candidates, windows or steps per second:

  authors   64 candidates a batch; each is imagined and inpainted by 100 steps of DDPM with guidance, two passes a step, which is 400 passes of the U-Net; then its 25 transitions are judged one by one, by the inverse dynamics and 7 dynamics nets of which 5 are used
  tuned     the same 400 passes, both of a step in one call, the transitions judged in one product
  few steps 20 steps without guidance, judged in one product
  forward   one pass of the U-Net
  training  one optimizer step of Adam

On a card, tuned and few steps run in bfloat16, at large batches.
"""

import argparse
import json
import math
import time

import torch
from torch import nn

STEPS = 100  # K, denoising steps
JUDGED = 25  # transitions of a candidate
GUIDANCE = 1.2
NETS = {"small": (32, (1, 2, 4), 32, 64), "paper": (128, (1, 4, 8), 100, 32)}  # channels, multipliers, horizon, batch in training
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Block(nn.Module):
    """Convolution, group norm, Mish, twice, with the step's embedding added between."""

    def __init__(self, inputs, outputs, embedding):
        super().__init__()
        self.first, self.second = self.convolution(inputs, outputs), self.convolution(outputs, outputs)
        self.shift = nn.Linear(embedding, outputs)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    @staticmethod
    def convolution(inputs, outputs):
        return nn.Sequential(nn.Conv1d(inputs, outputs, 5, padding=2), nn.GroupNorm(8, outputs), nn.Mish())

    def forward(self, x, step):
        return self.second(self.first(x) + self.shift(step)[:, :, None]) + self.skip(x)


class UNet(nn.Module):
    """The temporal U-Net of Janner et al. 2022: states, condition and mask in, noise out."""

    def __init__(self, state_dim, channels, multipliers):
        super().__init__()
        widths = [channels * m for m in multipliers]
        self.channels = channels
        self.step = nn.Sequential(nn.Linear(channels, 4 * channels), nn.Mish(), nn.Linear(4 * channels, channels))
        self.aim = nn.Sequential(nn.Linear(1, channels), nn.Mish(), nn.Linear(channels, channels))
        embedding = 2 * channels
        inputs = [2 * state_dim + 1, *widths[:-1]]
        self.down = nn.ModuleList([nn.ModuleList([Block(i, o, embedding), Block(o, o, embedding)]) for i, o in zip(inputs, widths)])
        self.shrink = nn.ModuleList([nn.Conv1d(w, w, 3, 2, 1) for w in widths[:-1]])
        self.middle = nn.ModuleList([Block(widths[-1], widths[-1], embedding) for _ in range(2)])
        self.grow = nn.ModuleList([nn.ConvTranspose1d(w, o, 4, 2, 1) for o, w in zip(widths[:-1], widths[1:])])
        self.up = nn.ModuleList([nn.ModuleList([Block(2 * w, w, embedding), Block(w, w, embedding)]) for w in widths[:-1]])
        self.head = nn.Sequential(Block.convolution(widths[0], widths[0]), nn.Conv1d(widths[0], state_dim, 1))

    def forward(self, x, step, aim, guided):
        half = self.channels // 2
        angles = step[:, None] * torch.exp(torch.arange(half, device=x.device) * (-math.log(10_000) / (half - 1)))
        heard = torch.cat([self.step(torch.cat([angles.sin(), angles.cos()], -1)), self.aim(aim) * guided], -1)
        x, seen = x.transpose(1, 2), []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                x = block(x, heard)
            if level < len(self.shrink):
                seen.append(x)
                x = self.shrink[level](x)
        for block in self.middle:
            x = block(x, heard)
        for level in reversed(range(len(self.up))):
            x = torch.cat([self.grow[level](x), seen[level]], 1)
            for block in self.up[level]:
                x = block(x, heard)
        return self.head(x).transpose(1, 2)


class Ensemble(nn.Module):
    """Dynamics nets of 4 hidden layers of 200, all in one product a layer."""

    def __init__(self, state_dim, action_dim, members=7):
        super().__init__()
        sizes = [state_dim + action_dim, 200, 200, 200, 200, state_dim + 1]
        self.weights = nn.ParameterList([nn.Parameter(0.05 * torch.randn(members, i, o)) for i, o in zip(sizes[:-1], sizes[1:])])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(members, 1, o)) for o in sizes[1:]])

    def forward(self, x):
        x = x.expand(len(self.weights[0]), *x.shape)
        for layer, (weights, bias) in enumerate(zip(self.weights, self.biases)):
            x = torch.baddbmm(bias, x, weights)
            if layer + 1 < len(self.weights):
                x = nn.functional.silu(x)
        return x


class Models:
    def __init__(self, state_dim, action_dim, net):
        channels, multipliers, self.horizon, self.train_batch = NETS[net]
        self.state_dim = state_dim
        self.unet = UNet(state_dim, channels, multipliers).to(DEVICE).eval()
        self.inverse = nn.Sequential(
            nn.Linear(2 * state_dim, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, action_dim)).to(DEVICE)
        self.dynamics = Ensemble(state_dim, action_dim).to(DEVICE)
        x = torch.arange(STEPS + 1) / STEPS
        signal = torch.cos((x + 0.008) / 1.008 * math.pi / 2) ** 2
        self.beta = (1 - signal[1:] / signal[:-1]).clamp(0, 0.999).to(DEVICE)
        self.left = torch.cumprod(1 - self.beta, 0)

    def task(self, batch):
        """Windows of which the first state is known."""
        known = torch.randn(batch, self.horizon, self.state_dim, device=DEVICE).clamp(-1, 1)
        mask = torch.zeros(batch, self.horizon, 1, device=DEVICE)
        mask[:, 0] = 1
        return known, mask

    def noise(self, x, step, guided, joint, half):
        """The predicted noise; with guidance from two passes, in one call or in two."""
        batch = len(x)
        steps, aim = torch.full((batch,), float(step), device=DEVICE), torch.full((batch, 1), 0.9, device=DEVICE)
        heard, unheard = torch.ones(batch, 1, device=DEVICE), torch.zeros(batch, 1, device=DEVICE)
        with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=half):
            if not guided:
                return self.unet(x, steps, aim, unheard).float()
            if joint:
                both = self.unet(torch.cat([x, x]), torch.cat([steps, steps]), torch.cat([aim, aim]), torch.cat([heard, unheard]))
                with_aim, without = both.float().chunk(2)
            else:
                with_aim, without = self.unet(x, steps, aim, heard).float(), self.unet(x, steps, aim, unheard).float()
        return without + GUIDANCE * (with_aim - without)

    @torch.no_grad()
    def sample(self, known, mask, steps=STEPS, guided=True, joint=False, half=False):
        """The reverse process, by DDPM, or by DDIM where it takes fewer steps."""
        x = torch.where(mask > 0, known, torch.randn_like(known))
        chosen = [round(i) for i in torch.linspace(STEPS - 1, 0, steps).tolist()]
        for at, step in enumerate(chosen):
            predicted = self.noise(torch.cat([x, known * mask, mask], -1), step, guided, joint, half)
            left = self.left[step]
            clean = ((x - (1 - left).sqrt() * predicted) / left.sqrt()).clamp(-1, 1)
            after = self.left[chosen[at + 1]] if at + 1 < len(chosen) else torch.ones((), device=DEVICE)
            if steps < STEPS:
                x = after.sqrt() * clean + (1 - after).sqrt() * predicted
            else:
                beta = self.beta[step]
                x = clean * beta * after.sqrt() / (1 - left) + x * (1 - after) * (1 - beta).sqrt() / (1 - left)
                x = x + (beta * (1 - after) / (1 - left)).sqrt() * torch.randn_like(x)
            x = torch.where(mask > 0, known, x)
        return x

    @torch.no_grad()
    def error(self, states, after):
        """The squared distance of what the dynamics predict: [n]."""
        actions = self.inverse(torch.cat([states, after], -1))
        predicted = self.dynamics(torch.cat([states, actions], -1))[:5].mean(0)
        return ((predicted[:, :-1] + states - after) ** 2).sum(-1)

    def judge_one_by_one(self, windows):
        judged = min(JUDGED, self.horizon - 1)
        return [all(float(self.error(w[i:i + 1], w[i + 1:i + 2])) < 1.5 for i in range(judged)) for w in windows]

    def judge(self, windows):
        judged = min(JUDGED, self.horizon - 1)
        states, after = windows[:, :judged], windows[:, 1:judged + 1]
        errors = self.error(states.reshape(-1, self.state_dim), after.reshape(-1, self.state_dim))
        return (errors.view(-1, judged) < 1.5).all(1)

    def candidates(self, batch, judge, **sampling):
        """Imagine, inpaint, judge."""
        self.sample(*self.task(batch), **sampling)
        return judge(self.sample(*self.task(batch), **sampling))

    def training_step(self):
        optimizer = torch.optim.Adam(self.unet.parameters(), 2e-4)
        batch, horizon, width = self.train_batch, self.horizon, self.state_dim
        x, target = torch.randn(batch, horizon, 2 * width + 1, device=DEVICE), torch.randn(batch, horizon, width, device=DEVICE)
        steps, aim, heard = torch.rand(batch, device=DEVICE) * STEPS, torch.rand(batch, 1, device=DEVICE), torch.ones(batch, 1, device=DEVICE)

        def step():
            optimizer.zero_grad(set_to_none=True)
            ((self.unet(x, steps, aim, heard) - target) ** 2).mean().backward()
            optimizer.step()

        return step


def seconds(work, least=1.0):
    """The fastest of several runs, after one that is not counted."""
    def once():
        start = time.perf_counter()
        work()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    times = []
    while not times or sum(times) < least:
        times.append(once())
    return min(times)


def measure(models, batches, quick):
    """Yields names and figures."""
    cuda = DEVICE == "cuda"
    for batch in batches:
        x = torch.randn(batch, models.horizon, 2 * models.state_dim + 1, device=DEVICE)
        with torch.no_grad():
            took = seconds(lambda: models.noise(x, 5, False, False, False))
        yield f"forward, windows/s, batch {batch}", batch / took
    yield f"training, steps/s, batch {models.train_batch}", 1 / seconds(models.training_step())
    few = 1024 if cuda else 64
    took = seconds(lambda: models.candidates(few, models.judge, steps=20, guided=False, half=cuda))
    yield f"few steps, candidates/s, batch {few}", few / took
    if quick:
        return
    took = seconds(lambda: models.candidates(few, models.judge, joint=True, half=cuda))
    yield f"tuned, candidates/s, batch {few}", few / took
    took = seconds(lambda: models.candidates(64, models.judge_one_by_one))
    yield "authors, candidates/s, batch 64", 64 / took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=NETS, default="small")
    parser.add_argument("--state-dim", type=int, default=11)
    parser.add_argument("--action-dim", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256], help="of the forward pass")
    parser.add_argument("--quick", action="store_true", help="leave out what takes 400 passes a candidate")
    parser.add_argument("--json", help="file to write the figures to")
    args = parser.parse_args()
    torch.manual_seed(0)
    models = Models(args.state_dim, args.action_dim, args.net)
    where = torch.cuda.get_device_name() if DEVICE == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    weights = sum(p.numel() for p in models.unet.parameters())
    print(f"PyTorch {torch.__version__}, {where}, {args.net}: {weights:,} weights", flush=True)
    figures = {}
    for name, figure in measure(models, args.batches, args.quick):
        figures[name] = figure
        print(f"  {name}: {figure:,.2f}", flush=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)


if __name__ == "__main__":
    main()
