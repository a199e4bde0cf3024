"""Shared by the make_*.py scripts: cases computed by PyTorch in float64, stored as float32."""
import json
import os

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))


class Golden:
    """Collects `case/tensor` entries and one JSON line of attributes a case; writes NAME.safetensors."""

    def __init__(self, name):
        self.name, self.tensors, self.attributes = name, {}, {}

    def case(self, case, **attributes):
        self.attributes[case] = attributes
        return lambda tensor, value: self.put(f"{case}/{tensor}", value)

    def put(self, name, value):
        a = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        if a.dtype == np.float64:
            a = a.astype(np.float32)
        if a.dtype == np.int64:
            a = a.astype(np.int32)
        assert name not in self.tensors, name
        self.tensors[name] = np.ascontiguousarray(a)

    def save(self):
        path = os.path.join(HERE, self.name + ".safetensors")  # an absolute name stays where it is
        save_file(self.tensors, path, {k: json.dumps(v) for k, v in sorted(self.attributes.items())})
        print(f"{path}: {len(self.attributes)} cases, {os.path.getsize(path)} bytes")


def rand(*shape, scale=1.0, seed=[0]):
    """Normal values that float32 holds exactly, as a float64 leaf that wants a gradient."""
    seed[0] += 1
    g = torch.Generator().manual_seed(seed[0])
    return (torch.randn(*shape, generator=g, dtype=torch.float32) * scale).double().requires_grad_()


def record(put, inputs, weights, output, seed=7):
    """Stores a case: inputs, weights, output, an upstream gradient and what it gives for each input and weight."""
    g = torch.Generator().manual_seed(seed)
    upstream = torch.randn(output.shape, generator=g, dtype=torch.float32).double()
    leaves = {f"in.{k}": v for k, v in inputs.items()} | {f"weight.{k}": v for k, v in weights.items()}
    wanted = {k: v for k, v in leaves.items() if v.requires_grad}
    gradients = torch.autograd.grad(output, list(wanted.values()), upstream, allow_unused=True)
    for k, v in leaves.items():
        put(k, v)
    put("out", output)
    put("grad_out", upstream)
    for (k, v), g in zip(wanted.items(), gradients):
        put("grad_" + k, torch.zeros_like(v) if g is None else g)


ACTIVATIONS = {
    "none": lambda x: x,
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
