"""The tests of the GPU, by themselves and under compute-sanitizer."""
import concurrent.futures
import contextlib
import glob
import os
import re
import shutil
import subprocess
import time

from gpu.commands import Failed, NOT, NotMeasured, ROOT, end_of, ended_how, shown, tail_of, why_it_failed


def listed_tests(tests, filter="*"):
    """Names of the tests that a program has."""
    names, suite = [], ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run([tests, "--gtest_list_tests", f"--gtest_filter={filter}"], text=True,
                                capture_output=True, timeout=60, check=False).stdout
        for line in listed.splitlines():
            name = line.split("#")[0].strip()
            if line.startswith("  "):
                names.append(suite + name)
            else:
                suite = name
    return names


def count_tests(tests):
    """GPU tests: of the program where it is built, which may have others of an emulated GPU, else of its sources."""
    names = listed_tests(tests, "Cuda*:*/Cuda*")
    if names:
        return str(len(names))
    found = 0
    folder = os.path.join(ROOT, "tests", "cuda")
    for name in sorted(os.listdir(folder) if os.path.isdir(folder) else []):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            found += len(re.findall(r"^(?:TYPED_)?TEST(?:_F|_P)?\(", file.read(), re.MULTILINE))
    return f"at least {found}"


def read_tests(done):
    """From what a test program printed, by test: how it ended and what it said."""
    tests, running = {}, None
    for line in done.out.splitlines():
        begun = re.search(r"\[ RUN      \] (\S+)", line)
        ended = re.search(r"\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+).* \(\d+ ms\)$", line)
        if begun:
            running = begun[1]
            tests[running] = (ended_how(done.code), "")
        elif ended:
            tests[ended[2]] = (ended[1], tests.get(ended[2], ("", ""))[1])
            running = None
        elif running:
            tests[running] = (tests[running][0], tests[running][1] + line + "\n")
    if running:
        tests[running] = (tests[running][0], tests[running][1] + end_of(done.err, 3000))
    return tests


def try_tests(check, names, until):
    """The tests, one after the other; behind one that crashes or hangs the rest goes on in a new process."""
    results = {}
    while len(results) < len(names):
        left = [name for name in names if name not in results]
        try:
            done = check.attempt([check.tests, "--gtest_filter=" + ":".join(left)], min(90, until - time.monotonic()))
        except NotMeasured:  # no time is left
            break
        read = read_tests(done)
        if not read:
            raise Failed(f"no test began: {why_it_failed(done)}", tail_of(done))
        results.update(read)
    return results


def side_by_side(function, items):
    """function(item) of all items, each on a thread of its own; the first exception once all have ended."""
    with concurrent.futures.ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(function, items))


def run_tests(check):
    names = listed_tests(check.tests)
    if not names:
        check.run([check.tests, "--gtest_list_tests"], 60)  # which says why
        raise Failed(f"{shown([check.tests])} lists no tests")
    until = time.monotonic() + (60 if check.options.quick else 120)
    shards = [names[i::4] for i in range(min(4, len(names)))]
    results = {}
    for part in side_by_side(lambda shard: try_tests(check, shard, until), shards):
        results.update(part)
    bad = [name for name in names if results.get(name, ("not run", ""))[0] != "OK"]
    # A kernel that fails takes all that follow in its process along: which of them fail by themselves?
    alone = {}
    if bad:
        def again(some):
            for name in some:
                with contextlib.suppress(NotMeasured):
                    done = check.attempt([check.tests, f"--gtest_filter={name}"], min(30, until + 30 - time.monotonic()))
                    alone[name] = read_tests(done).get(name, (ended_how(done.code), ""))[0]
        side_by_side(again, [bad[i::4] for i in range(min(4, len(bad)))])
    details = {}
    for name in bad:
        state, words = results.get(name, ("not run", ""))
        details[name] = {"ended": state, "alone": alone.get(name, "not run"), "said": end_of(words, 3000)}
        print(f"    {name}: {state}, alone {details[name]['alone']}: {' '.join(words.split())[:300]}", flush=True)
    note = ", ".join(f"{name} ({details[name]['ended']}, alone {details[name]['alone']})" for name in bad)
    check.figure("GPU tests that pass", len(names) - len(bad), "", f"all {len(names)}", not bad, [check.tests],
                 note[:1500], details)


def run_sanitizer(check, tool, tests, shards, first_port):
    name = f"compute-sanitizer {tool}"
    places = [shutil.which("compute-sanitizer"), *glob.glob("/usr/local/cuda*/bin/compute-sanitizer"),
              *glob.glob("/usr/local/cuda*/compute-sanitizer/compute-sanitizer")]
    sanitizer = next((place for place in places if place and os.access(place, os.X_OK)), None)
    if not sanitizer:
        check.not_measured(name, "no errors", "compute-sanitizer is not installed here")
        return
    wanted = len(listed_tests(check.tests, tests))
    more = {
        # Calls that fail are the tests' to judge: the library asks for some that may. Tests behind an error go on.
        "memcheck": ["--report-api-errors", "no", "--destroy-on-device-error", "kernel"],
        # Shared memory of the libraries' kernels is not ours to check, and takes long; memory that we hand them is.
        "racecheck": ["--kernel-name", "kernel_substring=mtrank"]}[tool]
    command = [sanitizer, "--tool", tool, *more, "--error-exitcode", "9", check.tests, f"--gtest_filter={tests}"]

    def shard(index):
        env = {"GTEST_TOTAL_SHARDS": str(shards), "GTEST_SHARD_INDEX": str(index)}
        # Each talks to its program over ports of its own, ten from this one on.
        return check.attempt(command[:1] + ["--port", str(first_port + 16 * index)] + command[1:], 120, env)

    ended = side_by_side(shard, range(shards))
    errors, run, troubles, reports = 0, 0, [], {}
    for index, done in enumerate(ended):
        ends = {test: state for test, (state, _) in read_tests(done).items()}
        unfinished = [test for test, state in ends.items() if state not in ("OK", "FAILED", "SKIPPED")]
        run += len(ends) - len(unfinished)
        summary = re.search(r"ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard", done.out)
        found = int(summary[1] or summary[2]) if summary else 0
        errors += found
        # One that ends without its tests' last line has crashed, or never began, whatever the summary says.
        whole = summary and re.search(r"^\[=+\] [1-9]\d* tests? from .* ran\.", done.out, re.MULTILINE)
        if not whole:
            troubles.append(f"shard {index}: {ended_how(done.code)} in {', '.join(unfinished) or 'no test'}")
        if found or not whole:
            report = "\n".join(re.findall(r"^=========.*$", done.out, re.MULTILINE))
            reports[f"shard {index}"] = f"{report[:6000]}\n{tail_of(done)}"
    note = "; ".join([f"{run} of {wanted} tests"] + troubles)
    late = [done for done in ended if done.code is None]
    if errors == 0 and troubles and len(troubles) == len(late):
        check.add(name, None, "", "0", NOT, command, note, details=reports)
        return
    check.figure(name, None if troubles and not errors else errors, "errors", "0", errors == 0 and not troubles, command,
                 note, reports)
