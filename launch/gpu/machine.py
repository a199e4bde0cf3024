"""What this machine is, and what its state was."""
import contextlib
import glob
import importlib.metadata
import os
import re
import subprocess
import sys
import time

from gpu.commands import NotMeasured, ROOT, end_of, ended_how, shown


def find_library(name):
    """The folder of a library that the loader does not find by itself: of a toolkit, or of Python's packages."""
    folders = ["/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib",
               *(os.path.join(folder, "nvidia", "*", "lib") for folder in sys.path if folder)]
    found = [place for folder in folders for place in glob.glob(os.path.join(folder, name))]
    return os.path.dirname(found[0]) if found else None


def facts(program):
    """Rows of `mtrank doctor`, by name. Ends the check where the program cannot run."""
    for again in (False, True):
        try:
            done = subprocess.run([program, "doctor"], text=True, capture_output=True, timeout=120, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            sys.exit(f"gpu_check: {program} does not run: {error}")
        if done.returncode == 0:
            return dict(re.findall(r"^  (\S.*?)  +(.*)$", done.stdout, re.MULTILINE))
        missing = re.search(r"loading shared libraries: (\S+):", done.stderr)
        folder = find_library(missing[1]) if missing and not again else None
        if not folder:
            break
        print(f"{missing[1]} is in {folder}", flush=True)
        os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, [folder, os.environ.get("LD_LIBRARY_PATH")]))
    sys.exit(f"gpu_check: {program} does not run: {ended_how(done.returncode)}\n{end_of(done.stderr, 3000)}")


def first_line(command):
    try:
        out = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=30, check=True).stdout
        return out.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.SubprocessError):
        return ""


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def machine(known):
    smi = first_line(["nvidia-smi", "--query-gpu=name,driver_version,memory.total,power.limit", "--format=csv,noheader"])
    cpu = known.get("cpu", "")
    commit = first_line(["git", "rev-parse", "HEAD"]) or os.environ.get("MTRANK_COMMIT", "")
    if commit and first_line(["git", "status", "--porcelain", "--untracked-files=no"]):
        commit += " with changes"
    return {"gpu": known.get("gpu", ""), "nvidia_smi": smi, "cpu": f"{cpu}, {known.get('cores', '?')} cores",
            "mtrank": known.get("mtrank", ""), "cuda": known.get("cuda", ""), "cublaslt": known.get("cublaslt", ""),
            "torch": version("torch"), "commit": commit, "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "command": shown([sys.argv[0]] + sys.argv[1:])}


def log_state(check):
    """To the log: clocks, temperature, what slows the GPU down, and what the kernel has to say."""
    for command in (["nvidia-smi", "-q", "-d", "CLOCK,POWER,TEMPERATURE,PERFORMANCE,ECC,MEMORY"], ["df", "-h", check.folder],
                    ["sh", "-c", "dmesg | grep -iE 'nvrm|xid|out of memory|segfault' | tail -20"]):
        with contextlib.suppress(NotMeasured, OSError):
            check.attempt(command, 10)


def slug(gpu):
    return re.sub(r"[^a-z0-9]+", "_", gpu.split(",")[0].lower()).strip("_") or "gpu"
