#!/usr/bin/env python3
"""kuairand_small.safetensors: the DCN-V2 + MMoE model of configs/kuairand_reference.yaml at small widths, on made-up
rows: initial weights, 50 batches of 64, the first step's gradients, the loss of every step under Adam.

    python3 make_kuairand.py [--check]
    python3 make_kuairand.py --data $MTRANK_DATA/kuairand --out /tmp/kuairand_full

--check also prints how far PyTorch's own float32 run is from the float64 one that is stored. --data makes the same of
the first rows of the real log at full width (about 80 MB, not for the repository; needs pandas); the test reads it
where MTRANK_GOLDEN_KUAIRAND names the file."""
import argparse
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from common import Golden

TASKS = ["is_click", "long_view", "is_like", "is_profile_enter"]
CATS = ["tab", "hour", "user_id", "video_id", "author_id", "video_type", "upload_type", "music_type",
        "user_active_degree", "is_lowactive_period", "is_live_streamer", "is_video_author", "follow_user_num_range",
        "fans_user_num_range", "friend_user_num_range", "register_days_range"] + [f"onehot_feat{i}" for i in range(18)]
BAGS = {"tags": "tags", "watched_videos": "video_id", "liked_videos": "video_id"}  # feature: table
DENSE = ["duration_ms", "freshness_days", "register_days"]
STEPS, EXPERTS, LR = 50, 4, 1e-3


@dataclass
class Spec:
    """How wide the model is and how many ids there are. Id 0 of a table is the unknown one; in a bag it is absent."""
    batch: int = 64
    dim: int = 4
    hidden: tuple = (16, 8)
    tower: int = 6
    caps: dict = field(default_factory=lambda: {"tags": 4, "watched_videos": 6, "liked_videos": 5})
    sizes: dict = field(default_factory=lambda: {c: 6 for c in CATS} | {
        "tab": 9, "hour": 25, "user_id": 80, "video_id": 60, "author_id": 40, "tags": 20})


def mlp(dims):
    layers = []
    for a, b in zip(dims[:-1], dims[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers)


class Model(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.emb = nn.ModuleDict({c: nn.Embedding(spec.sizes[c], spec.dim) for c in CATS + ["tags"]})
        for e in self.emb.values():
            nn.init.normal_(e.weight, std=0.01)
        width = (len(CATS) + len(BAGS)) * spec.dim + len(DENSE)
        self.cross = nn.ModuleList([nn.Linear(width, width) for _ in range(3)])
        self.experts = nn.ModuleList([mlp([width, *spec.hidden]) for _ in range(EXPERTS)])
        self.gates = nn.ModuleList([nn.Linear(width, EXPERTS) for _ in TASKS])
        self.towers = nn.ModuleList([nn.Sequential(mlp([spec.hidden[-1], spec.tower]), nn.Linear(spec.tower, 1)) for _ in TASKS])

    def forward(self, x, bags, z):
        f = [self.emb[c](x[:, i]) for i, c in enumerate(CATS)]
        for b, table in BAGS.items():
            m = (bags[b] > 0).to(z.dtype).unsqueeze(-1)
            f.append((self.emb[table](bags[b]) * m).sum(1) / m.sum(1).clamp(min=1))
        x0 = torch.cat(f + [z], 1)
        h = x0
        for c in self.cross:
            h = x0 * c(h) + h
        ex = torch.stack([e(h) for e in self.experts], 1)
        return torch.cat([t((torch.softmax(g(h), -1).unsqueeze(-1) * ex).sum(1)) for g, t in zip(self.gates, self.towers)], 1)


def made_up(spec):
    r, n = np.random.RandomState(5), STEPS * spec.batch
    zipf = lambda size, shape: np.minimum(r.zipf(1.4, shape) - 1, size - 1)
    x = np.stack([zipf(spec.sizes[c], n) for c in CATS], 1).astype(np.int64)
    bags = {}
    for b, table in BAGS.items():
        cap = spec.caps[b]
        ids = 1 + zipf(spec.sizes[table] - 1, (n, cap))
        bags[b] = np.where(np.arange(cap) < r.randint(0, cap + 1, (n, 1)), ids, 0).astype(np.int64)
    z = r.normal(size=(n, len(DENSE))).astype(np.float32)
    truth = r.normal(size=(len(CATS) + len(DENSE), len(TASKS)))
    logit = np.concatenate([x % 3 - 1, z], 1) @ truth * 0.3 + np.array([-0.2, -0.6, -2.5, -2.5])
    y = (r.uniform(size=logit.shape) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    return x, bags, z, y


def real(spec, folder):
    """The first rows of the training file, encoded as mtrank does it: ids from 1 in the order of their text."""
    import pandas as pd
    d = pd.read_csv(f"{folder}/train.csv.gz", dtype=str, keep_default_na=False)
    texts = {c: set(d[c]) for c in CATS} | {"tags": {t for s in d["tags"] for t in s.split("|") if t}}
    vocab = {c: {v: i + 1 for i, v in enumerate(sorted(t))} for c, t in texts.items()}
    spec.sizes = {c: len(v) + 1 for c, v in vocab.items()}
    z = np.log1p(np.maximum(d[DENSE].apply(pd.to_numeric, errors="coerce").fillna(0).to_numpy(np.float64), 0))
    n = STEPS * spec.batch
    z, d = ((z - z.mean(0)) / (z.std(0) + 1e-6))[:n], d[:n]
    bags = {b: np.zeros((n, spec.caps[b]), np.int64) for b in BAGS}
    for b, table in BAGS.items():
        for r, s in enumerate(d[b]):
            ids = [vocab[table].get(t, 0) for t in s.split("|")[-spec.caps[b]:]] if s else []
            bags[b][r, :len(ids)] = ids
    x = np.stack([d[c].map(vocab[c]).to_numpy(np.int64) for c in CATS], 1)
    return x, bags, z.astype(np.float32), d[TASKS].astype(np.float32).to_numpy()


def train(model, data, spec, dtype):
    """Adam on the sum over tasks of the mean loss. Gives the losses [STEPS] and the first step's gradients."""
    x, bags, z, y = data
    model = model.to(dtype)
    optimizer, losses, first = torch.optim.Adam(model.parameters(), lr=LR), [], None
    for i in range(STEPS):
        s = slice(i * spec.batch, (i + 1) * spec.batch)
        out = model(torch.tensor(x[s]), {k: torch.tensor(v[s]) for k, v in bags.items()}, torch.tensor(z[s]).to(dtype))
        loss = F.binary_cross_entropy_with_logits(out, torch.tensor(y[s]).to(dtype), reduction="none").mean(0).sum()
        optimizer.zero_grad()
        loss.backward()
        first = first or {k: p.grad.clone() for k, p in model.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), first


def transposed(name, value):
    """torch keeps a linear weight as [out, in]; mtrank as [in, out]."""
    return value.t() if value.dim() == 2 and not name.startswith("emb.") else value


def options():
    a = argparse.ArgumentParser()
    a.add_argument("--check", action="store_true")
    a.add_argument("--data")
    a.add_argument("--out", default="kuairand_small", help="without .safetensors; relative to this folder")
    return a.parse_args()


def main():
    torch.manual_seed(0)
    o = options()
    if o.data:
        spec = Spec(2048, 16, (256, 128), 64, {"tags": 8, "watched_videos": 50, "liked_videos": 50})
        data, small = real(spec, o.data), np.int32
    else:
        spec, small = Spec(), np.uint8
        data = made_up(spec)
    model, golden = Model(spec), Golden(o.out)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    losses, gradients = train(model, data, spec, torch.float64)
    if o.check:
        model.load_state_dict(start)
        losses32, gradients32 = train(model, data, spec, torch.float32)
        worst = max(float((gradients32[k] - g).norm() / g.norm()) for k, g in gradients.items() if g.norm() > 0)
        print("float32 run: losses off by", np.abs(losses32 / losses - 1).max(), "gradients by", worst)
    put = golden.case("kuairand", tasks=TASKS, features=CATS, bags=BAGS, dense=DENSE, batch=spec.batch, steps=STEPS,
                      lr=LR, dim=spec.dim, hidden=spec.hidden, tower=spec.tower, rows=spec.sizes)
    for k, v in start.items():
        put("start." + k, transposed(k, v))
        put("grad." + k, transposed(k, gradients[k]))
    x, bags, z, y = data
    put("ids", x.astype(small)), put("dense", z), put("labels", y.astype(np.uint8))
    for b, ids in bags.items():
        put("bag." + b, ids.astype(small))
    put("loss", losses)
    golden.save()


main()
