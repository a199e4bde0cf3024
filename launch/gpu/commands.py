"""Commands under one deadline, and the figures they give."""
import collections
import concurrent.futures
import contextlib
import json
import math
import os
import signal
import subprocess
import tempfile
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MEASURED, PASS, FAIL, NOT = "", "pass", "FAIL", "not measured"
LAST_SECONDS = 10  # of the deadline, for the report

Done = collections.namedtuple("Done", "code out err")  # code: None where the time ran out, -N where signal N ended it


class NotMeasured(Exception):
    """What a figure needs is not there: time, a program, data. `tail`: the end of what the command wrote."""

    def __init__(self, why, tail="", command=()):
        super().__init__(why)
        self.tail, self.command = tail, command


class Failed(NotMeasured):
    """A command that had to succeed did not."""


class Check:
    """The commands of a run, under one deadline, and the figures they gave."""

    def __init__(self, options, where):
        self.options, self.where = options, where
        minutes = options.minutes or (1.8 if options.quick else 7.8) + (15 if options.accuracy else 0)
        self.deadline = time.monotonic() + 60 * minutes - LAST_SECONDS
        self.machine, self.parts = {}, []
        self.folder = tempfile.mkdtemp(prefix="mtrank_gpu_check_")
        self.program = os.path.join(options.build, "mtrank")
        self.tests = os.path.join(options.build, "cuda_tests")
        if options.dry_run:
            os.environ["FUNNEL"] = self.path("log")
        self.environment = dict(os.environ, MTRANK_SOURCE_DIR=ROOT, MTRANK_BINARY=self.program,
                                MTRANK_CUDA_BINARY=self.program)
        self.lock = threading.Lock()
        self.running, self.stopped = set(), ""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.stop)

    def path(self, name):
        return os.path.join(self.folder, name)

    def figures(self):
        return [figure for part in self.parts for figure in part.figures]

    def stop(self, number, _):
        """Ends what runs, and lets nothing else begin; the second signal ends this program too."""
        signal.signal(number, signal.SIG_DFL)
        self.stopped = f"stopped by {signal.Signals(number).name}"
        for process in list(self.running):
            kill(process)

    def attempt(self, command, limit, env=None):
        """How a command ended. Its whole process group ends with its time."""
        limit = min(limit, self.deadline - time.monotonic())
        if self.stopped or limit < 1:
            raise NotMeasured(self.stopped or "no time left")
        begin = time.monotonic()
        # Of this session, so that whoever ends all of it leaves nothing on the GPU.
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=dict(self.environment, **(env or {})), process_group=0)
        self.running.add(process)
        if self.stopped:
            kill(process)
        try:
            out, err = process.communicate(timeout=limit)
            code = process.returncode
        except subprocess.TimeoutExpired:
            code = None
            kill(process)
            try:
                out, err = process.communicate(timeout=10)
            except subprocess.TimeoutExpired as stuck:  # it waits in the driver, for good
                out, err = stuck.stdout, stuck.stderr
        self.running.discard(process)
        done = Done(code, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))
        ended = ended_how(code, time.monotonic() - begin)
        self.log(f"$ {shown([f'{k}={v}' for k, v in (env or {}).items()] + list(command))}\n{ended}\n"
                 f"{end_of(done.out, 30000)}\n{end_of(done.err, 10000)}\n")
        if self.stopped:
            raise NotMeasured(self.stopped, tail_of(done), command)
        return done

    def run(self, command, limit, env=None):
        """Standard output of a command that must succeed within its limit."""
        done = self.attempt(command, limit, env)
        if done.code is None and time.monotonic() >= self.deadline:
            raise NotMeasured("no time left for the rest", tail_of(done), command)
        if done.code is None:
            raise Failed(f"more than {limit:.0f} s", tail_of(done), command)
        if done.code != 0:
            raise Failed(why_it_failed(done), tail_of(done), command)
        return done.out

    def together(self, parts):
        """Runs parts side by side. One that breaks is a row of the table."""
        running = [Part(self, title) for title, _ in parts]
        self.parts += running
        with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
            for part, (_, function) in zip(running, parts):
                pool.submit(part.go, function)

    def log(self, words):
        with self.lock, contextlib.suppress(OSError):
            with open(os.path.splitext(self.where)[0] + ".log", "a", encoding="utf-8") as file:
                file.write(words)

    def save(self, ended=False):
        """Writes what is known by now; where that cannot be done, to the system's temporary folder."""
        with self.lock:
            words = json.dumps({"machine": self.machine, "ended": ended, "figures": self.figures()}, indent=1) + "\n"
            for where in (self.where, os.path.join(tempfile.gettempdir(), os.path.basename(self.where))):
                try:
                    os.makedirs(os.path.dirname(os.path.abspath(where)), exist_ok=True)
                    with open(where + ".partial", "w", encoding="utf-8") as file:
                        file.write(words)
                    os.replace(where + ".partial", where)
                    self.where = where
                    return ""
                except OSError as error:
                    trouble = f"cannot write {where}: {error.strerror}"
            return trouble


class Part:
    """A part of the check: its figures. The commands are the check's."""

    def __init__(self, check, title):
        self.check, self.title, self.figures = check, title, []

    def __getattr__(self, name):
        return getattr(self.check, name)

    def add(self, name, value, unit, target, status, command, note, **more):
        row = {"name": name, "value": value, "unit": unit, "target": target, "status": status,
               "command": shown(command), "note": note}
        self.figures.append({**row, **{key: what for key, what in more.items() if what}})
        self.check.save()
        why = f": {note}" if status in (FAIL, NOT) and note else ""
        print(f"  {name}: {text(value)} {unit} {status}".rstrip() + why, flush=True)

    def figure(self, name, value, unit="", target="", good=None, command=(), note="", details=None):
        """One row of the table. `good`: whether the target was met; None where there is none."""
        if isinstance(value, float) and not math.isfinite(value):
            value, good = str(value), False
        status = MEASURED if good is None else PASS if good else FAIL
        self.add(name, value, unit, target, status, command, note, details=details)

    def not_measured(self, name, target="", why="", command=(), tail=""):
        self.add(name, None, "", target, NOT, command, why, tail=tail)

    @contextlib.contextmanager
    def row(self, name, target="", command=()):
        """What breaks in here is this row of the table; what comes after it goes on."""
        try:
            yield
        except Failed as error:
            self.add(name, None, "", target or "runs", FAIL, command or error.command, str(error), tail=error.tail)
        except NotMeasured as error:
            self.not_measured(name, target, str(error), command or error.command, error.tail)
        except Exception as error:  # noqa: a mistake in here must not lose the other figures
            self.add(name, None, "", target or "runs", FAIL, command, f"{type(error).__name__}: {error}",
                     tail=traceback.format_exc()[-3000:])

    def go(self, function):
        print(self.title, flush=True)
        begin = time.monotonic()
        with self.row(self.title):
            function(self)
        print(f"    {self.title}: {time.monotonic() - begin:.0f} s", flush=True)


def kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def ended_how(code, seconds=None):
    if code is None:
        how = "out of time"
    elif code < 0:
        how = f"ended by {signal.Signals(-code).name}"
    else:
        how = f"exit code {code}"
    return how if seconds is None else f"{how} after {seconds:.1f} s"


def why_it_failed(done):
    lines = [line for line in (done.err or done.out).splitlines() if line.strip()] or ["no output"]
    return f"{ended_how(done.code)}: {lines[-1][:200]}"


def end_of(words, most):
    words = words.strip()
    return words if len(words) <= most else "[...]" + words[-most:]


def tail_of(done):
    return end_of(done.err, 3000) or end_of(done.out, 3000)


def shown(command):
    return " ".join(str(word).replace(ROOT + "/", "") for word in command)


def text(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
