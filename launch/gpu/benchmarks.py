"""What `mtrank bench` measures."""
import json
import math
import os
import re
import shutil
import subprocess
import threading

from gpu.commands import Failed, end_of


class MemoryMeter:
    """The most of the GPU's memory that is taken while a command runs, beyond what was taken before."""

    QUERY = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]

    def used(self):
        try:
            out = subprocess.run(self.QUERY, text=True, capture_output=True, timeout=5, check=True).stdout
            return int(out.split()[0]) << 20
        except (OSError, ValueError, IndexError, subprocess.SubprocessError):
            return None

    def __enter__(self):
        self.before, self.most, self.stop = self.used(), 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        """Until the job has all that it takes: looking costs the driver's time, which steps need too."""
        same = 0
        while self.before is not None and same < 4 and not self.stop.wait(0.2):
            more = (self.used() or 0) - self.before
            same = same + 1 if more == self.most and more > 1 << 30 else 0
            self.most = max(self.most, more)

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


BENCHES = {  # name: config, batch, most rows of a table, batches in files, target, stretch
    "DLRM-DCNv2, batch 65,536": ("configs/bench/dlrm_dcnv2.yaml", 65536, 10_000_000, 16, 2.6e6, 3.2e6),
    "funnel, batch 65,536": ("configs/bench/funnel.yaml", 65536, 1_000_000, 24, 2.6e6, 3.1e6),
    "funnel, batch 4,096": ("configs/bench/funnel.yaml", 4096, 1_000_000, 0, 1.8e6, 2.3e6),
}


DLRM = next(iter(BENCHES))


def bench_words(check, name):
    config, batch, cap, _, _, _ = BENCHES[name]
    if check.options.dry_run:
        config, batch, cap = "tests/reproducibility/small.yaml", 32, 500
    return [config, "--rows-cap", str(cap)], ["--device", "cuda", "--batch", str(batch), "--set", "train.precision=bf16"]


def bench(check, name, more=(), files=None):
    """What `mtrank bench` says, as it writes it to JSON."""
    shape, rest = bench_words(check, name)
    steps = "2" if check.options.dry_run else "60"
    command = [check.program, "bench"] + shape + rest + ["--steps", steps, *more]
    if files:
        command += ["--data", files]
    return command, read_json(check, command, "bench.json", "samples_per_s")


def read_json(check, command, name, needed):
    """What a benchmark writes to its JSON file. Also goes to the log, whole."""
    check.run(command + ["--json", check.path(name)], 75)
    with open(check.path(name), encoding="utf-8") as file:
        words = file.read()
    os.remove(check.path(name))
    check.log(f"wrote {words}\n")
    try:
        result = json.loads(words, parse_constant=lambda _: None)
        if math.isfinite(result[needed] or math.nan):
            return result
    except (ValueError, KeyError, TypeError):
        pass
    raise Failed(f"no number {needed} in what it wrote", end_of(words, 3000), command)


def make_files(check, name):
    """Binary files of the shapes of a benchmark; None where it has none, or this build cannot write them."""
    batches = 2 if check.options.dry_run else BENCHES[name][3]
    shape, rest = bench_words(check, name)
    folder = check.path("mtb_" + re.sub(r"\W+", "_", name))
    if check.options.quick or BENCHES[name][3] == 0:
        return None
    rows = batches * int(rest[rest.index("--batch") + 1])
    command = [check.program, "synth", "--like", *shape, "--rows", str(rows), "--out", folder]
    with check.row(f"{name}: files", command=command):
        check.run(command, 90)
        return folder
    return None


def measure(check, name, kept):
    _, _, _, _, target, stretch = BENCHES[name]
    files, result = make_files(check, name), None
    # Ceilings are measured with 10 GB of their own, so the job's peak is taken without them.
    with MemoryMeter() as meter:
        if files:
            with check.row(f"{name}: from .mtb files", ">= 0.95"):
                command, result = bench(check, name, files=files)
            shutil.rmtree(files, ignore_errors=True)
        if not result:
            command, result = bench(check, name)
    rate = result["samples_per_s"]
    kept[name] = result
    check.figure(f"{name}: batches on the GPU", rate, "samples/s", f">= {target:,.0f}, stretch {stretch:,.0f}",
                 rate >= target, command, details=result["rates"])
    host = result["rates"].get("from the host's memory", {}).get("samples_per_s")
    check.figure(f"{name}: batches from host memory", host, "samples/s", "", None, command)
    from_files = result.get("files", {}).get("samples_per_s")
    if from_files:
        share = from_files / rate
        check.figure(f"{name}: from .mtb files", share, "of the rate on the GPU", ">= 0.95", share >= 0.95, command,
                     f"{from_files:,.0f} samples/s; reading alone {result['files'].get('reading_samples_per_s')}",
                     result["files"])
    elif BENCHES[name][3] and not files:
        check.not_measured(f"{name}: from .mtb files", ">= 0.95", "no files were made in this run")
    planned = sum(result["memory"].values())
    if meter.most:
        share = meter.most / planned
        check.figure(f"{name}: peak memory", share, "of the plan", "0.95 to 1.05", abs(share - 1) <= 0.05, command,
                     f"{meter.most / 2**30:.2f} GiB, planned {planned / 2**30:.2f} GiB", result["memory"])
    else:
        check.not_measured(f"{name}: peak memory", "0.95 to 1.05", "nvidia-smi does not say what is used", command)


def usual(check, name, kept):
    """A benchmark as it is: measured before, else now."""
    if name not in kept:
        kept[name] = bench(check, name)[1]
    return kept[name]


def profiled(check, name, kept):
    """The same with the times of its parts."""
    if "ceilings" not in kept.get(name, {}):
        size = ["--ceiling-size", "64"] if check.options.dry_run else []
        command, result = bench(check, name, ["--profile", *size])
        kept[name] = {**result, **kept.get(name, {}), **{key: result[key] for key in ("ops", "phases", "ceilings")},
                      "profile": command}
    return kept[name]["profile"], kept[name]


def profile(check, name, kept):
    command, result = profiled(check, name, kept)
    parts = {**result["ops"], **result["phases"]}
    timed = {part: row for part, row in parts.items() if row["ms"] > 0}
    gaps = sorted(timed, key=lambda part: timed[part]["ms"] - timed[part].get("ceiling_ms", 0), reverse=True)
    shares = ", ".join(f"{part} {timed[part]['ms']:.2f} ms at {100 * timed[part].get('ceiling_ms', 0) / timed[part]['ms']:.0f} %"
                       for part in gaps[:3])
    check.figure(f"{name}: largest gaps to the ceilings", shares, "", "", None, command,
                 details={part: timed[part] for part in gaps})
    if name.startswith("DLRM"):
        update = sum(timed[part]["ms"] for part in ("sort ids", "table update") if part in timed)
        check.figure("DLRM-DCNv2: sort, sums and table update", update, "ms", "<= 3", update <= 3, command)


def beside_usual(check, name, kept, figure, more, most=None):
    """A step of a benchmark with other settings beside the step as it is."""
    with check.row(figure, f"<= {most}" if most else ""):
        command, result = bench(check, name, more)
        ratio = result["step_ms"] / usual(check, name, kept)["step_ms"]
        check.figure(figure, ratio, "of a usual step", f"<= {most}" if most else "", ratio <= most if most else None, command)


def overlap(check, kept):
    """What several streams gain: ids sorted under the forward pass, weight gradients beside input gradients."""
    for name in BENCHES:
        beside_usual(check, name, kept, f"{name}: a step with one stream", ["--no-overlap"])


def epilogues(check, kept):
    """Products of the backward pass that mask by a ReLU and sum a bias's gradient, wherever the library can, or never."""
    for name in list(BENCHES)[:2]:
        for which in ("always", "never"):
            beside_usual(check, name, kept, f"{name}: backward epilogues {which}", ["--backward-epilogues", which])


def hot_row(check, kept):
    beside_usual(check, DLRM, kept, "a row that takes half of a table's lookups", ["--hot", "0.5"], 1.1)


def ceilings(check):
    command = [check.program, "bench", "--ceilings"] + (["--ceiling-size", "8"] if check.options.dry_run else [])
    result = read_json(check, command, "ceilings.json", "copy_bytes_per_s")
    check.figure("copy", result["copy_bytes_per_s"] / 1e12, "TB/s", "", None, command)
    for size, rate in result["gather_bytes_per_s"].items():
        check.figure(f"random rows of {size} bytes", rate / 1e12, "TB/s", "", None, command)
    for row in result["products"]:
        name = f"product {row['precision']} {row['name']} {row['groups']} x [{row['m']}, {row['k']}] [{row['k']}, {row['n']}]"
        check.figure(name, row["flops_per_s"] / 1e12, "TFLOP/s", "", None, command)
