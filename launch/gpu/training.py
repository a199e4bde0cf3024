"""Training runs: their hashes, their losses and what they learn, beside the CPU's."""
import concurrent.futures
import hashlib
import json
import math
import os
import re
import shutil
import statistics


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


TRAINING_ALONE = ["data.valid=null", "data.test=null", "eval.best=last", "train.epochs=1000"]


def train_command(check, config, run, device, settings):
    words = [check.program, "train", config, "--out", check.path(run), "--device", device]
    return words + [word for setting in settings for word in ("--set", setting)]


class Log:
    """A small log with a planted truth, and training runs on it."""

    def __init__(self, check, name="log"):
        tiny = check.options.dry_run
        self.check = check
        self.config = "tests/reproducibility/small.yaml" if tiny else "configs/quickstart.yaml"
        self.settings = TRAINING_ALONE + ([] if tiny else ["data.train=${FUNNEL}/train.csv"])
        self.steps = 20 if tiny else 100 if check.options.quick else 300
        self.env = {"FUNNEL": check.path(name)}
        check.run([check.program, "synth", "funnel", "--rows", "1500" if tiny else "60000", "--seed", "5",
                   "--out", check.path(name), "--plain"], 60)

    def command(self, run, more=()):
        settings = [f"train.max_steps={self.steps}", f"train.checkpoint.every={self.steps // 2} steps",
                    "train.checkpoint.keep=9"]
        return train_command(self.check, self.config, run, "cuda", self.settings + settings) + list(more)

    def train(self, run, more=()):
        self.check.run(self.command(run, more), 60, self.env)
        return sha256(os.path.join(self.check.path(run), "model.safetensors"))


def determinism(check):
    log = Log(check)
    first = log.train("first")
    name = f"{log.steps} steps end with the same hash: "
    variants = [("two runs", "second", []), ("--no-graph", "eager", ["--no-graph"])]
    for what, run, more in variants:
        with check.row(name + what, "equal", log.command(run, more)):
            check.figure(name + what, first[:12], "", "equal", log.train(run, more) == first, log.command(run, more))
    bf16 = ["--set", "train.precision=bf16"]
    if not check.options.quick:
        with check.row(name + "bf16, two runs", "equal", log.command("bf16", bf16)):
            once = log.train("bf16", bf16)
            check.figure(name + "bf16, two runs", once[:12], "", "equal", log.train("bf16_again", bf16) == once,
                         log.command("bf16", bf16))
    with check.row(name + "resumed", "equal"):
        resumed = check.path("resumed")
        shutil.copytree(check.path("first"), resumed)
        os.remove(os.path.join(resumed, "model.safetensors"))
        checkpoints = os.path.join(resumed, "checkpoints")
        steps = {int(re.search(r"(\d+)", entry).group(1)): entry for entry in os.listdir(checkpoints)
                 if re.search(r"\d", entry)}
        for step, entry in steps.items():
            if step > log.steps // 2:
                shutil.rmtree(os.path.join(checkpoints, entry))
        again = log.train("resumed", ["--resume"])
        check.figure(name + f"resumed at {min(steps)}", again[:12], "", "equal", again == first,
                     log.command("resumed", ["--resume"]))


BESIDE_CPU = (("cpu", "cpu", "fp32"), ("fp32", "cuda", "fp32"), ("bf16", "cuda", "bf16"))  # run, device, precision


def metrics_lines(folder, event):
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [line for line in lines if line["event"] == event]


def last_test(folder):
    """Metrics of the last evaluation on the test split, by task."""
    return [line for line in metrics_lines(folder, "eval") if line["split"] == "test"][-1]["tasks"]


def losses(check):
    """The first 50 losses of every task, beside the CPU's."""
    config, settings, env = "configs/kuairand_reference.yaml", TRAINING_ALONE, {}
    if not os.environ.get("MTRANK_DATA"):
        log = Log(check, "losses_log")
        config, settings, env = log.config, log.settings, log.env

    def command(run, device, precision):
        return train_command(check, config, "losses_" + run, device,
                             settings + ["train.max_steps=50", f"train.precision={precision}"])

    def train(run, device, precision):
        check.run(command(run, device, precision), 90, env)
        return [line["loss"] for line in metrics_lines(check.path("losses_" + run), "train")]

    cpu = train(*BESIDE_CPU[0])
    for run, device, precision in BESIDE_CPU[1:]:
        bound = {"fp32": 1e-4, "bf16": 1e-2}[run]
        name, target = f"first {len(cpu)} losses beside the CPU's, {run}", f"<= {bound:g}"
        with check.row(name, target, command(run, device, precision)):
            found = train(run, device, precision)
            worst = max(abs(ours[task] - theirs[task]) / abs(theirs[task])
                        for ours, theirs in zip(found, cpu) for task in theirs if theirs[task])
            whole = len(found) == len(cpu) >= 50
            check.figure(name, worst, "relative", target, whole and worst <= bound, command(run, device, precision),
                         "" if whole else f"{len(found)} steps beside {len(cpu)}")


def accuracy(check):
    """Test AUC of every task: the mean over seeds beside the CPU's, in its standard errors."""
    name, config, settings, seeds, env = "AUC over 5 seeds", "configs/kuairand_reference.yaml", [], range(1, 6), {}
    if check.options.dry_run:
        config, seeds, env = "tests/reproducibility/small.yaml", range(1, 3), Log(check, "accuracy_log").env
    elif not os.environ.get("MTRANK_DATA"):
        check.not_measured(name, why="MTRANK_DATA is not set")
        return
    else:
        files = check.path("accuracy_mtb")
        check.run([check.program, "convert", config, "--out", files], 60)
        settings = [f"data.mtb={files}"]

    def command(run, device, precision, seed):
        return train_command(check, config, f"accuracy_{run}_{seed}", device,
                             settings + [f"train.precision={precision}", "train.threads=4", f"seed={seed}"])

    def train(words):
        try:
            check.run(words, 300, env)
            return last_test(words[words.index("--out") + 1])
        except Exception as error:  # noqa: the other seeds and devices go on
            return error

    # Nothing is timed, and neither threads nor company change a bit: four at a time.
    jobs = {(run, seed): command(run, device, precision, seed) for run, device, precision in BESIDE_CPU for seed in seeds}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = dict(zip(jobs, pool.map(train, jobs.values())))

    def by_task(run):
        of_run = [found[run, seed] for seed in seeds]
        for one in of_run:
            if isinstance(one, Exception):
                raise one
        return {task: [one[task]["auc"] for one in of_run] for task in of_run[0]}

    with check.row(name):
        cpu = by_task("cpu")
        for run, device, precision in BESIDE_CPU[1:]:
            words = command(run, device, precision, seeds[0])
            with check.row(f"mean test AUC, {run}", "CPU's +- 2 standard errors", words):
                for task, values in by_task(run).items():
                    mean, error = statistics.mean(values), statistics.stdev(cpu[task]) / math.sqrt(len(cpu[task]))
                    note = f"CPU {statistics.mean(cpu[task]):.5f}, its standard error {error:.5f}, {len(cpu[task])} seeds"
                    check.figure(f"{task}: mean test AUC, {run}", f"{mean:.5f}", "", "CPU's +- 2 standard errors",
                                 abs(mean - statistics.mean(cpu[task])) <= 2 * error, words, note,
                                 {"here": values, "CPU": cpu[task]})
