#!/usr/bin/env python3
"""layers.safetensors: each layer's output and gradients from PyTorch. Layouts are in README.md."""
import torch
import torch.nn.functional as F

from common import ACTIVATIONS, Golden, rand, record


def linear(weights, name, rows, cols, bias=True):
    weights[f"{name}.weight"] = rand(rows, cols, scale=0.6)
    if bias:
        weights[f"{name}.bias"] = rand(cols, scale=0.3)
    return lambda x: x @ weights[f"{name}.weight"] + (weights[f"{name}.bias"] if bias else 0.0)


def mlp(weights, prefix, width, hidden, activation="relu", layer_norm=False):
    """Every layer is act(norm(x W + b)), the last one too."""
    steps = []
    for i, h in enumerate(hidden):
        step = linear(weights, f"{prefix}{i}", width, h)
        if layer_norm:
            weights[f"{prefix}{i}.norm.scale"], weights[f"{prefix}{i}.norm.bias"] = rand(h), rand(h)
        steps.append((step, i, h))
        width = h

    def run(x):
        for step, i, h in steps:
            x = step(x)
            if layer_norm:
                x = F.layer_norm(x, (h,), weights[f"{prefix}{i}.norm.scale"], weights[f"{prefix}{i}.norm.bias"], 1e-5)
            x = ACTIVATIONS[activation](x)
        return x

    return run


def mlps(g):
    for activation in ACTIVATIONS:
        w, x = {}, rand(6, 7)
        run = mlp(w, "", 7, [8, 5], activation)
        record(g.case(f"mlp_{activation}", layer=f"{{type: mlp, hidden: [8, 5], activation: {activation}}}"), {"x": x}, w, run(x))
    w, x = {}, rand(6, 7)
    run = mlp(w, "", 7, [8, 5], "relu", True)
    record(g.case("mlp_layer_norm", layer="{type: mlp, hidden: [8, 5], activation: relu, layer_norm: true}"), {"x": x}, w, run(x))
    w, x = {}, rand(3, 4)
    run = mlp(w, "", 4, [3], "none")
    record(g.case("mlp_one_layer", layer="{type: mlp, hidden: [3], activation: none}"), {"x": x}, w, run(x))


def crosses(g):
    w, x = {}, rand(6, 7)
    h = x
    for i in range(3):
        h = x * linear(w, str(i), 7, 7)(h) + h
    record(g.case("dcn_v2_full", layer="{type: dcn_v2, layers: 3}"), {"x": x}, w, h)
    w, x = {}, rand(6, 7)
    h = x
    for i in range(2):
        w[f"{i}.v"], w[f"{i}.u"], w[f"{i}.bias"] = rand(7, 3, scale=0.6), rand(3, 7, scale=0.6), rand(7, scale=0.3)
        h = x * (h @ w[f"{i}.v"] @ w[f"{i}.u"] + w[f"{i}.bias"]) + h
    record(g.case("dcn_v2_low_rank", layer="{type: dcn_v2, layers: 2, rank: 3}"), {"x": x}, w, h)
    w, x = {}, rand(6, 7)
    h, experts = x, 3
    for i in range(2):
        w[f"{i}.bias"], w[f"{i}.gate.weight"] = rand(7, scale=0.3), rand(7, experts, scale=0.6)
        gates, mixed = torch.softmax(h @ w[f"{i}.gate.weight"], 1), 0
        for e in range(experts):
            v, c, u = rand(7, 4, scale=0.6), rand(4, 4, scale=0.6), rand(4, 7, scale=0.6)
            w[f"{i}.v.{e}"], w[f"{i}.c.{e}"], w[f"{i}.u.{e}"] = v, c, u
            mixed = mixed + gates[:, e:e + 1] * (x * (torch.tanh(torch.tanh(h @ v) @ c) @ u + w[f"{i}.bias"]))
        h = mixed + h
    record(g.case("dcn_v2_mixture", layer="{type: dcn_v2, layers: 2, rank: 4, experts: 3}"), {"x": x}, w, h)


def mmoes(g):
    for activation in ("relu", "silu"):
        w, x, tasks, experts = {}, rand(6, 7), ["click", "cart", "buy"], 4
        outs = torch.stack([mlp(w, f"expert.{e}.", 7, [8, 5], activation)(x) for e in range(experts)], 1)
        gates = [torch.softmax(linear(w, f"gate.{t}", 7, experts)(x), 1) for t in tasks]
        y = torch.cat([(p.unsqueeze(-1) * outs).sum(1) for p in gates], 1)  # [B, T * 5], task by task
        layer = f"{{type: mmoe, experts: 4, hidden: [8, 5], activation: {activation}}}"
        record(g.case(f"mmoe_{activation}", layer=layer, tasks=tasks), {"x": x}, w, y)


def joins(g):
    a, b, c = rand(6, 3), rand(6, 4), rand(6, 1)
    record(g.case("concat", layer="{type: concat}"), {"a": a, "b": b, "c": c}, {}, torch.cat([a, b, c], 1))
    a, b, c = rand(6, 5), rand(6, 5), rand(6, 5)
    record(g.case("add", layer="{type: add}"), {"a": a, "b": b, "c": c}, {}, a + b + c)
    a, b, c = rand(6, 5), rand(6, 5), rand(6, 5)
    record(g.case("mul", layer="{type: mul}"), {"a": a, "b": b, "c": c}, {}, a * b * c)


golden = Golden("layers")
mlps(golden)
crosses(golden)
mmoes(golden)
joins(golden)
golden.save()
