#!/usr/bin/env python3
"""ops.safetensors: each op's output and gradients from PyTorch. Layouts are in README.md."""
import numpy as np
import torch
import torch.nn.functional as F

from common import ACTIVATIONS, Golden, rand, record


def pointwise(g):
    for name, f in ACTIVATIONS.items():
        x, w, b = rand(5, 7), rand(7, 6, scale=0.5), rand(6, scale=0.5)
        record(g.case(f"linear_{name}", op="linear", activation=name), {"x": x}, {"w": w, "b": b}, f(x @ w + b))
    x, w = rand(5, 7), rand(7, 6)
    record(g.case("linear_no_bias", op="linear", activation="none"), {"x": x}, {"w": w}, x @ w)
    x, w, b = rand(1, 3), rand(3, 17), rand(17)
    record(g.case("linear_one_row", op="linear", activation="none"), {"x": x}, {"w": w, "b": b}, x @ w + b)
    for name in ("none", "relu", "gelu"):
        x, w, b = rand(5, 7), rand(3, 7, 4), rand(3, 4)
        y = torch.cat([ACTIVATIONS[name](x @ w[e] + b[e]) for e in range(3)], 1)
        record(g.case(f"grouped_linear_shared_{name}", op="grouped_linear", groups=3, activation=name, shared_input=True),
               {"x": x}, {"w": w, "b": b}, y)
        x, w, b = rand(5, 3 * 7), rand(3, 7, 4), rand(3, 4)
        y = torch.cat([ACTIVATIONS[name](x[:, 7 * e:7 * e + 7] @ w[e] + b[e]) for e in range(3)], 1)
        record(g.case(f"grouped_linear_{name}", op="grouped_linear", groups=3, activation=name, shared_input=False),
               {"x": x}, {"w": w, "b": b}, y)
    x0, u, x = rand(5, 9), rand(5, 9), rand(5, 9)
    record(g.case("cross_combine", op="cross_combine"), {"x0": x0, "u": u, "x": x}, {}, x0 * u + x)
    a, b, c = rand(4, 6), rand(4, 6), rand(4, 6)
    record(g.case("add", op="add"), {"a": a, "b": b, "c": c}, {}, a + b + c)
    a, b, c = rand(4, 6), rand(4, 6), rand(4, 6)
    record(g.case("mul", op="mul"), {"a": a, "b": b, "c": c}, {}, a * b * c)
    a, b = rand(4, 3), rand(4, 5)
    record(g.case("concat", op="concat"), {"a": a, "b": b}, {}, torch.cat([a, b], 1))


def rows(g):
    x = rand(5, 4, scale=3)
    record(g.case("softmax", op="softmax"), {"x": x}, {}, torch.softmax(x, 1))
    x = rand(3, 4)
    with torch.no_grad():
        x[0] = torch.tensor([1000.0, 0, -1000, 1000])  # a naive exp overflows
    record(g.case("softmax_large", op="softmax"), {"x": x}, {}, torch.softmax(x, 1))
    gates, experts = torch.softmax(rand(5, 3), 1).detach().float().double().requires_grad_(), rand(5, 3 * 4)
    y = (gates.unsqueeze(-1) * experts.view(5, 3, 4)).sum(1)
    record(g.case("mixture", op="mixture", experts=3), {"gates": gates, "experts": experts}, {}, y)
    x, s, b = rand(5, 8, scale=2), rand(8), rand(8)
    record(g.case("layer_norm", op="layer_norm", epsilon=1e-5), {"x": x}, {"scale": s, "bias": b},
           F.layer_norm(x, (8,), s, b, 1e-5))
    x = rand(5, 8)
    record(g.case("dropout_off", op="dropout", p=0.0), {"x": x}, {}, x * 1.0)


def embedding(g):
    """CSR bags: row r owns ids [offsets[r], offsets[r + 1]); -1 is a dropped id, which also counts for nothing."""
    ids = torch.tensor([3, 3, -1, 0, 6, 2, -1, -1, 5, 3])
    offsets = torch.tensor([0, 3, 3, 6, 8, 10])  # bag 1 is empty, bag 3 has only dropped ids
    for pool in ("sum", "mean", "sqrtn"):
        for weighted in (False, True):
            table = rand(7, 4)
            w = torch.rand(10, generator=torch.Generator().manual_seed(3)).double() + 0.25 if weighted else torch.ones(10).double()
            out = []
            for r in range(5):
                a, b = int(offsets[r]), int(offsets[r + 1])
                kept = ids[a:b] >= 0
                i, v = ids[a:b][kept], w[a:b][kept]
                if len(i) == 0:
                    out.append(torch.zeros(4).double())
                    continue
                scale = {"sum": torch.ones(()).double(), "mean": v.sum(), "sqrtn": (v * v).sum().sqrt()}[pool]
                out.append((table[i] * v[:, None]).sum(0) / scale)
            inputs = {"ids": ids, "offsets": offsets} | ({"weights": w} if weighted else {})
            record(g.case(f"bag_{pool}{'_weighted' if weighted else ''}", op="embedding", pool=pool), inputs,
                   {"table": table}, torch.stack(out))
    table, ids = rand(7, 4), torch.tensor([3, 0, 3, 6])
    record(g.case("one_id", op="embedding"), {"ids": ids}, {"table": table}, table[ids])


def losses(g):
    """One scalar a case: sum(w * l) / sum(w) over the rows whose weight is not 0."""
    torch.manual_seed(11)
    z = lambda: rand(9, 1, scale=2)
    y = torch.tensor([1.0, 0, 1, 0, 0, 1, 1, 0, 0]).double().view(9, 1)
    w = torch.tensor([1.0, 2, 0.5, 0, 1, 3, 0, 1, 1]).double().view(9, 1)

    def put(name, f, labels=y, **attributes):
        x = z()
        record(g.case(name, **attributes), {"x": x, "label": labels, "weight": w}, {}, (w * f(x)).sum() / w.sum())

    def bce(x, y, pos_weight=1.0, smoothing=0.0):
        t = y * (1 - smoothing) + 0.5 * smoothing
        return F.binary_cross_entropy_with_logits(x, t, reduction="none", pos_weight=torch.tensor(pos_weight).double())

    def focal(x, y, gamma, alpha):
        p = torch.sigmoid(x)
        pt = y * p + (1 - y) * (1 - p)
        at = y * alpha + (1 - y) * (1 - alpha)
        return at * (1 - pt) ** gamma * F.binary_cross_entropy_with_logits(x, y, reduction="none")

    put("bce", lambda x: bce(x, y), loss="bce")
    put("bce_pos_weight", lambda x: bce(x, y, pos_weight=3.5), loss="bce", pos_weight=3.5)
    put("bce_smoothing", lambda x: bce(x, y, smoothing=0.1), loss="bce", label_smoothing=0.1)
    put("bce_both", lambda x: bce(x, y, 2.0, 0.2), loss="bce", pos_weight=2.0, label_smoothing=0.2)
    put("focal", lambda x: focal(x, y, 2.0, 0.5), loss="focal", gamma=2.0, alpha=0.5)
    put("focal_alpha", lambda x: focal(x, y, 1.5, 0.25), loss="focal", gamma=1.5, alpha=0.25)
    r = torch.linspace(-3, 4, 9).double().float().double().view(9, 1)
    put("mse", lambda x: (x - r) ** 2, r, loss="mse")
    put("huber", lambda x: F.huber_loss(x, r, reduction="none", delta=1.0), r, loss="huber", delta=1.0)
    put("huber_delta", lambda x: F.huber_loss(x, r, reduction="none", delta=0.5), r, loss="huber", delta=0.5)
    for scale, name in ((1.0, "product_bce"), (12.0, "product_bce_extreme")):
        a, b = rand(9, 1, scale=scale), rand(9, 1, scale=scale)
        log_p = F.logsigmoid(a) + F.logsigmoid(b)
        l = -(y * log_p + (1 - y) * torch.log(-torch.expm1(log_p)))
        record(g.case(name, loss="bce", trained_as="a * b"), {"a": a, "b": b, "label": y, "weight": w}, {}, (w * l).sum() / w.sum())
    extreme = torch.tensor([[-200.0], [200], [90], [-90], [0], [30], [-30], [1e-3], [-1e-3]]).double().requires_grad_()
    record(g.case("bce_extreme", loss="bce"), {"x": extreme, "label": y, "weight": w}, {}, (w * bce(extreme, y)).sum() / w.sum())


golden = Golden("ops")
pointwise(golden)
rows(golden)
embedding(golden)
losses(golden)
golden.save()
