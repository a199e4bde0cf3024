"""Plain PyTorch programs of the same models, on the same GPU in the same minutes."""
import json
import os
import re
import sys

from gpu.benchmarks import BENCHES, DLRM, bench, profiled, usual
from gpu.commands import NotMeasured, tail_of, why_it_failed
from gpu.training import metrics_lines

LOOKUP = """
import json, sys, torch, torch.nn.functional as F
sys.path.insert(0, sys.argv[1]); sys.argv = sys.argv[:1]
import torch_bench as t
rows = [min(r, 10_000_000) for r in t.ROWS]; base = [sum(rows[:i]) for i in range(26)]; batch = 65536
w = torch.empty(sum(rows), 128, device="cuda").uniform_(-.01, .01)
start = torch.tensor([sum(t.HOT[:i]) for i in range(26)], device="cuda")
offs = (torch.arange(batch, device="cuda")[:, None] * 214 + start[None]).flatten()
timer, out = t.Timer("cuda"), {}
for kind in ("zipf", "uniform"):
    draw = (lambda n, shape: t.zipf(n, shape, "cuda")) if kind == "zipf" else (lambda n, shape: torch.randint(0, n, shape, device="cuda"))
    ids = torch.cat([draw(rows[k], (batch, t.HOT[k])) + base[k] for k in range(26)], 1).flatten()
    out[kind] = timer(lambda: F.embedding_bag(ids, w, offs, mode="sum")) * 1e3
print(json.dumps(out))
"""


def yardstick(check, command, limit):
    """What a PyTorch program prints: one that cannot run is none of ours."""
    done = check.attempt(command, limit)
    if done.code != 0:
        raise NotMeasured(why_it_failed(done), tail_of(done), command)
    return done.out


def lookups(check, kept):
    _, zipf = profiled(check, DLRM, kept)
    command, uniform = bench(check, DLRM, ["--profile", "--zipf", "0"] +
                             (["--ceiling-size", "64"] if check.options.dry_run else []))
    ours = {"zipf": zipf["ops"]["lookup"]["ms"], "uniform": uniform["ops"]["lookup"]["ms"]}
    out = yardstick(check, [sys.executable, "-c", LOOKUP, check.options.yardsticks], 60)
    theirs = json.loads(out.strip().splitlines()[-1])
    for kind, target in (("zipf", 4), ("uniform", 1.3)):
        ratio = theirs[kind] / ours[kind]
        check.figure(f"DLRM-DCNv2 lookup, {kind} ids, embedding_bag's time over ours", ratio, "x", f">= {target}",
                     ratio >= target, command, f"ours {ours[kind]:.2f} ms, embedding_bag {theirs[kind]:.2f} ms")


def torch_bench(check, model, kept):
    """A PyTorch program in all its modes, of which one may break, and ours beside its best."""
    command = [sys.executable, os.path.join(check.options.yardsticks, "torch_bench.py"), model, "--device", "cuda"]
    done = check.attempt(command, 200)
    best = {}
    for mode, batch, rate in re.findall(rf"^{model} (\w+) batch (\d+): .*?([\d,]+) samples/s", done.out, re.MULTILINE):
        rate = float(rate.replace(",", ""))
        check.figure(f"PyTorch {model} {mode}, batch {int(batch):,}", rate, "samples/s", "", None, command)
        best[int(batch)] = max(best.get(int(batch), (0, "")), (rate, mode))
    if done.code != 0:
        check.not_measured(f"PyTorch {model}, the rest", why=why_it_failed(done), command=command, tail=tail_of(done))
    for name in BENCHES:
        with check.row(f"{name}: beside PyTorch"):
            batch = BENCHES[name][1]
            if (model == "dlrm") == (name == DLRM) and batch in best:
                rate, mode = best[batch]
                check.figure(f"{name}: beside PyTorch", usual(check, name, kept)["samples_per_s"] / rate,
                             f"x its best ({mode})", "", None, command)


def kuairand(check):
    name, target = "kuairand_reference beside torch_kuairand.py", ">= 10"
    data = os.environ.get("MTRANK_DATA")
    if not data:
        check.not_measured(name, target, "MTRANK_DATA is not set")
        return
    config, files, run = "configs/kuairand_reference.yaml", check.path("kuairand_mtb"), check.path("kuairand")
    check.run([check.program, "convert", config, "--out", files], 60)
    command = [check.program, "train", config, "--out", run, "--device", "cuda", "--set", f"data.mtb={files}"]
    check.run(command, 90)
    lines = metrics_lines(run, "train")
    # All samples over all time, as torch_kuairand.py has it, behind the first quarter. A line is a step or a few.
    warm = lines[len(lines) // 4:]
    rate = len(warm) / sum(1 / line["samples_per_s"] for line in warm)
    check.figure("kuairand_reference from .mtb", rate, "samples/s", "", None, command,
                 f"share of time lost to data {lines[-1].get('data_wait')}")
    if not check.options.yardsticks:
        check.not_measured(name, target, "no --yardsticks")
        return
    with check.row(name, target):
        command = [sys.executable, os.path.join(check.options.yardsticks, "torch_kuairand.py"), "--data",
                   os.path.join(data, "kuairand"), "--seeds", "1", "--epochs", "2"]
        found = re.search(r"train (\d+) samples/s on cuda", yardstick(check, command, 90))
        if not found:
            raise NotMeasured("PyTorch sees no GPU here")
        theirs = float(found[1])
        check.figure("torch_kuairand.py", theirs, "samples/s", "", None, command)
        check.figure(name, rate / theirs, "x", target, rate >= 10 * theirs, command)
