#!/usr/bin/env python3
"""kuairand_small.safetensors: the DCN-V2 + MMoE model of configs/kuairand_reference.yaml at small widths, on made-up
rows: initial weights, 50 batches of 64, the first step's gradients, the loss of every step under Adam.

With --check it also prints how far PyTorch's own float32 run is from the float64 one that is stored."""
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from common import Golden

TASKS = ["is_click", "long_view", "is_like", "is_profile_enter"]
CATS = ["tab", "hour", "user_id", "video_id", "author_id", "video_type", "upload_type", "music_type",
        "user_active_degree", "is_lowactive_period", "is_live_streamer", "is_video_author", "follow_user_num_range",
        "fans_user_num_range", "friend_user_num_range", "register_days_range"] + [f"onehot_feat{i}" for i in range(18)]
BAGS = {"tags": ("tags", 4), "watched_videos": ("video_id", 6), "liked_videos": ("video_id", 5)}
DENSE = ["duration_ms", "freshness_days", "register_days"]
STEPS, BATCH, DIM, EXPERTS, LR = 50, 64, 4, 4, 1e-3
SIZES = {c: 6 for c in CATS} | {"tab": 9, "hour": 25, "user_id": 80, "video_id": 60, "author_id": 40, "tags": 20}


def mlp(dims):
    layers = []
    for a, b in zip(dims[:-1], dims[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.ModuleDict({c: nn.Embedding(SIZES[c], DIM) for c in CATS + ["tags"]})
        for e in self.emb.values():
            nn.init.normal_(e.weight, std=0.01)
        width = (len(CATS) + len(BAGS)) * DIM + len(DENSE)
        self.cross = nn.ModuleList([nn.Linear(width, width) for _ in range(3)])
        self.experts = nn.ModuleList([mlp([width, 16, 8]) for _ in range(EXPERTS)])
        self.gates = nn.ModuleList([nn.Linear(width, EXPERTS) for _ in TASKS])
        self.towers = nn.ModuleList([nn.Sequential(mlp([8, 6]), nn.Linear(6, 1)) for _ in TASKS])

    def forward(self, x, bags, z):
        f = [self.emb[c](x[:, i]) for i, c in enumerate(CATS)]
        for b, (table, _) in BAGS.items():
            m = (bags[b] > 0).to(z.dtype).unsqueeze(-1)
            f.append((self.emb[table](bags[b]) * m).sum(1) / m.sum(1).clamp(min=1))
        x0 = torch.cat(f + [z], 1)
        h = x0
        for c in self.cross:
            h = x0 * c(h) + h
        ex = torch.stack([e(h) for e in self.experts], 1)
        return torch.cat([t((torch.softmax(g(h), -1).unsqueeze(-1) * ex).sum(1)) for g, t in zip(self.gates, self.towers)], 1)


def batches():
    r, n = np.random.RandomState(5), STEPS * BATCH
    zipf = lambda size, shape: np.minimum(r.zipf(1.4, shape) - 1, size - 1)
    x = np.stack([zipf(SIZES[c], n) for c in CATS], 1).astype(np.int64)
    bags = {}
    for b, (table, cap) in BAGS.items():
        ids = 1 + zipf(SIZES[table] - 1, (n, cap))
        bags[b] = np.where(np.arange(cap) < r.randint(0, cap + 1, (n, 1)), ids, 0).astype(np.int64)
    z = r.normal(size=(n, len(DENSE))).astype(np.float32)
    truth = r.normal(size=(len(CATS) + len(DENSE), len(TASKS)))
    logit = np.concatenate([x % 3 - 1, z], 1) @ truth * 0.3 + np.array([-0.2, -0.6, -2.5, -2.5])
    y = (r.uniform(size=logit.shape) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    return x, bags, z, y


def train(model, data, dtype):
    """Adam on the sum over tasks of the mean loss. Gives the losses [STEPS] and the first step's gradients."""
    x, bags, z, y = data
    model = model.to(dtype)
    optimizer, losses, first = torch.optim.Adam(model.parameters(), lr=LR), [], None
    for i in range(STEPS):
        s = slice(i * BATCH, (i + 1) * BATCH)
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


def main():
    torch.manual_seed(0)
    model, data, golden = Model(), batches(), Golden("kuairand_small")
    start = {k: v.clone() for k, v in model.state_dict().items()}
    losses, gradients = train(model, data, torch.float64)
    if "--check" in sys.argv:
        model.load_state_dict(start)
        losses32, gradients32 = train(model, data, torch.float32)
        worst = max(float((gradients32[k] - g).norm() / g.norm()) for k, g in gradients.items() if g.norm() > 0)
        print("float32 run: losses off by", np.abs(losses32 / losses - 1).max(), "gradients by", worst)
    put = golden.case("kuairand", tasks=TASKS, features=CATS, bags={b: t for b, (t, _) in BAGS.items()}, dense=DENSE,
                      batch=BATCH, steps=STEPS, lr=LR, rows=SIZES)
    for k, v in start.items():
        put("start." + k, transposed(k, v))
        put("grad." + k, transposed(k, gradients[k]))
    x, bags, z, y = data
    put("ids", x.astype(np.uint8)), put("dense", z), put("labels", y.astype(np.uint8))
    for b, ids in bags.items():
        put("bag." + b, ids.astype(np.uint8))
    put("loss", losses)
    golden.save()


main()
