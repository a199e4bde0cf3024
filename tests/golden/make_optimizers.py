#!/usr/bin/env python3
"""optimizers.safetensors: five steps of every optimiser. From torch.optim where it has the optimiser, else from
the formula in its paper, written in numpy. Layouts are in README.md."""
import numpy as np
import torch

from common import Golden, rand

STEPS, SHAPE = 5, (6, 4)


def start():
    return rand(*SHAPE).detach(), [rand(*SHAPE, scale=0.7).detach() for _ in range(STEPS)]


def torch_case(g, name, make, **attributes):
    p0, grads = start()
    p = p0.clone().requires_grad_()
    optimizer, after = make([p]), []
    for gradient in grads:
        p.grad = gradient.clone()
        optimizer.step()
        after.append(p.detach().clone())
    put = g.case(name, **attributes)
    put("start", p0), put("grad", torch.stack(grads)), put("after", torch.stack(after))


def numpy_case(g, name, step, **attributes):
    """`step(w, gradient, state, t)` gives the new w; state is a dict that begins empty."""
    p0, grads = start()
    w, state, after = p0.numpy().copy(), {}, []
    for t, gradient in enumerate(grads, 1):
        w = step(w, gradient.numpy(), state, t)
        after.append(w.copy())
    put = g.case(name, **attributes)
    put("start", p0), put("grad", torch.stack(grads)), put("after", np.stack(after))


def dense(g):
    o = torch.optim
    torch_case(g, "sgd", lambda p: o.SGD(p, lr=0.1), type="sgd", lr=0.1)
    torch_case(g, "sgd_decay", lambda p: o.SGD(p, lr=0.1, weight_decay=0.05), type="sgd", lr=0.1, weight_decay=0.05)
    torch_case(g, "sgd_momentum", lambda p: o.SGD(p, lr=0.1, momentum=0.9), type="sgd", lr=0.1, momentum=0.9)
    torch_case(g, "sgd_nesterov", lambda p: o.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
               type="sgd", lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01)
    torch_case(g, "adagrad", lambda p: o.Adagrad(p, lr=0.1, eps=1e-10), type="adagrad", lr=0.1, eps=1e-10, initial_accumulator=0.0)
    torch_case(g, "adagrad_all", lambda p: o.Adagrad(p, lr=0.1, eps=1e-6, initial_accumulator_value=0.1, weight_decay=0.02),
               type="adagrad", lr=0.1, eps=1e-6, initial_accumulator=0.1, weight_decay=0.02)
    torch_case(g, "adam", lambda p: o.Adam(p, lr=0.01), type="adam", lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8)
    torch_case(g, "adam_all", lambda p: o.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.03),
               type="adam", lr=0.05, beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.03)
    torch_case(g, "adamw", lambda p: o.AdamW(p, lr=0.05, weight_decay=0.1), type="adamw", lr=0.05, beta1=0.9, beta2=0.999,
               eps=1e-8, weight_decay=0.1)


def rowwise_adagrad(lr, eps, decay):
    """One accumulator a row: the mean of the squared gradient (Gupta et al. 2014; Naumov et al. 2019)."""
    def step(w, g, state, t):
        g = g + decay * w
        state["h"] = state.get("h", 0) + (g * g).mean(1, keepdims=True)
        return w - lr * g / (np.sqrt(state["h"]) + eps)
    return step


def ftrl(lr, beta, l1, l2):
    """FTRL-Proximal, McMahan et al., KDD 2013, algorithm 1. z starts so that the first weights are the given ones."""
    def step(w, g, state, t):
        if not state:
            state["n"] = np.zeros_like(w)
            state["z"] = -w * (beta / lr + l2) - np.sign(w) * l1
        n = state["n"] + g * g
        state["z"] = state["z"] + g - (np.sqrt(n) - np.sqrt(state["n"])) / lr * w
        state["n"], z = n, state["z"]
        return np.where(np.abs(z) <= l1, 0.0, -(z - np.sign(z) * l1) / ((beta + np.sqrt(n)) / lr + l2))
    return step


def sparse(g):
    numpy_case(g, "rowwise_adagrad", rowwise_adagrad(0.1, 1e-8, 0.0), type="rowwise_adagrad", lr=0.1, eps=1e-8)
    numpy_case(g, "rowwise_adagrad_decay", rowwise_adagrad(0.1, 1e-8, 0.02), type="rowwise_adagrad", lr=0.1, eps=1e-8, weight_decay=0.02)
    numpy_case(g, "ftrl", ftrl(0.1, 1.0, 0.0, 0.0), type="ftrl", lr=0.1, beta=1.0, l1=0.0, l2=0.0)
    numpy_case(g, "ftrl_l1_l2", ftrl(0.2, 0.5, 0.4, 0.3), type="ftrl", lr=0.2, beta=0.5, l1=0.4, l2=0.3)
    # Lazy Adam: only the rows of a step move, the bias correction counts steps, not visits. Duplicate ids add up.
    p0, _ = start()
    table = torch.nn.Embedding.from_pretrained(p0.clone(), freeze=False, sparse=True)
    optimizer = torch.optim.SparseAdam(table.parameters(), lr=0.02)
    ids = torch.tensor([[0, 2, 2], [1, 0, 5], [5, 5, 5], [2, 3, 0], [1, 2, 3]])
    upstream, after = rand(STEPS, 3, SHAPE[1]).detach(), []
    for i, u in zip(ids, upstream):
        optimizer.zero_grad()
        table(i).backward(u)
        optimizer.step()
        after.append(table.weight.detach().clone())
    put = g.case("adam_lazy", type="adam", lazy=True, lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8)
    put("start", p0), put("ids", ids), put("grad", upstream), put("after", torch.stack(after))


golden = Golden("optimizers")
dense(golden)
sparse(golden)
golden.save()
