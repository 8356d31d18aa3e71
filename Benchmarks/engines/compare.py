#!/usr/bin/env python3
"""Times one branch of LeNet split in four in lcp, ONNX Runtime and OpenVINO: batch 1, one thread, FP32.

    compare.py [--lcp PATH] [--model BUNDLE] [--branch K] [--rounds N] [--runs N] [--json] [--build FOLDER] [--python PATH]

The engines come from PyPI into a virtual environment in the build folder; what is timed are their C libraries, called from C
(engine_timer.c), not Python. Needs nothing but Python's standard library, venv, pip and a C compiler (cc, clang or gcc).
Where the engines cannot be had, it says so and ends with 0: there is nothing to compare with.
"""

import argparse
import glob
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = ["onnxruntime", "openvino", "onnx", "numpy"]
ENGINES = ["onnxruntime", "openvino"]
NAMES = {"lcp": "lcp", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
TOLERANCE = 1e-4


class Skip(Exception):
    """The comparison cannot be made here, for this reason."""


def call(command, what, error=Skip):
    """Runs a command; its output, or `error` with the last line that it wrote."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    except OSError as reason:
        raise error(f"cannot {what}: {reason}")
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise error(f"cannot {what}: {lines[-1]}")
    return done.stdout


def prepare_python(build):
    """A Python with the engines in it, made once."""
    environment = build / "venv"
    python = environment / "bin" / "python"
    made = environment / "complete"
    if made.exists():
        return python
    print("installing ONNX Runtime and OpenVINO from PyPI into the benchmark's own environment ...", file=sys.stderr)
    shutil.rmtree(environment, ignore_errors=True)
    call([sys.executable, "-m", "venv", environment], "make a virtual environment (is python3-venv installed?)")
    call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], f"pip install {' '.join(PACKAGES)}")
    made.touch()
    return python


def prepare_engines(build, python):
    """Compiles the timer and writes the model; the libraries of both engines."""
    folders = json.loads(
        call(
            [python, "-c", "import importlib.util as u, json; print(json.dumps([u.find_spec(n).submodule_search_locations[0]"
             " for n in ('onnxruntime', 'openvino')]))"],
            "find the engines (are onnxruntime and openvino installed?)",
        )
    )
    libraries = {}
    for engine, folder, pattern in zip(ENGINES, folders, ["capi/libonnxruntime.so*", "libs/libopenvino_c.so*"]):
        found = sorted(glob.glob(os.path.join(folder, pattern)))
        if not found:
            raise Skip(f"the {NAMES[engine]} package holds no {pattern}")
        libraries[engine] = found[-1]

    compiler = next((path for name in ("cc", "clang", "gcc") if (path := shutil.which(name))), None)
    if not compiler:
        raise Skip("there is no C compiler: neither cc nor clang nor gcc")
    # A name of its own for every run: two at the same time must not write over each other's.
    timer = build / "engine-timer"
    fresh = build / f"engine-timer.{os.getpid()}"
    include = os.path.join(folders[1], "include")
    call([compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", f"-isystem{include}", HERE / "engine_timer.c", "-o", fresh, "-ldl"],
         "compile engine_timer.c")
    os.replace(fresh, timer)
    call([python, HERE / "make_model.py", build], "write the model")
    return timer, libraries


def last_json(text, what):
    try:
        return json.loads(text.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"compare.py: {what} printed no line of JSON")


def time_engine(engine, timer, library, build, runs):
    result = last_json(
        call([timer, engine, library, build / "branch.onnx", build / "input.f32", runs], f"time {NAMES[engine]}", SystemExit),
        NAMES[engine],
    )
    expected = json.loads((build / "expected.json").read_text())
    worst = max(abs(a - b) for a, b in zip(result["output"], expected))
    if worst > TOLERANCE:
        raise SystemExit(f"compare.py: {NAMES[engine]} computes another result than numpy (off by {worst:g}): its times mean nothing")
    return result


def time_lcp(arguments):
    command = [arguments.lcp, "bench", "branch", "--branch", arguments.branch, "--json"]
    if arguments.model:
        command += ["--model", arguments.model]
    return last_json(call(command, "time lcp", SystemExit), "lcp bench branch")


def measure(arguments, timer, libraries, build):
    """Every round times each once, in an order that turns around: a machine that gets slower is unkind to all."""
    contenders = (["lcp"] if arguments.lcp else []) + ENGINES
    rounds = []
    for index in range(arguments.rounds):
        results = {}
        for name in contenders if index % 2 == 0 else reversed(contenders):
            results[name] = (
                time_lcp(arguments) if name == "lcp" else time_engine(name, timer, libraries[name], build, arguments.runs)
            )
        rounds.append(results)
    return contenders, rounds


def summarise(contenders, rounds):
    summary = {"rounds": len(rounds), "engines": {}, "ratios": {}}
    for name in contenders:
        medians = [results[name]["median_us"] for results in rounds]
        summary["engines"][name] = {
            "median_us": statistics.median(medians),
            "lowest_median_us": min(medians),
            "highest_median_us": max(medians),
            "min_us": min(results[name]["min_us"] for results in rounds),
            "version": rounds[0][name].get("version", ""),
        }
    if "lcp" in contenders:
        for engine in ENGINES:
            summary["ratios"][engine] = statistics.median(r["lcp"]["median_us"] / r[engine]["median_us"] for r in rounds)
        summary["ratios"]["best"] = statistics.median(
            r["lcp"]["median_us"] / min(r[engine]["median_us"] for engine in ENGINES) for r in rounds
        )
    return summary


def print_table(summary):
    print(f"one branch of LeNet in four, batch 1, one thread, FP32, {summary['rounds']} rounds")
    print(f"{'':14}{'median µs':>10}{'of rounds':>18}{'best µs':>10}{'lcp is':>9}  version")
    for name, row in summary["engines"].items():
        ratio = summary["ratios"].get(name)
        print(
            f"{NAMES[name]:14}{row['median_us']:10.1f}"
            f"{row['lowest_median_us']:10.1f}–{row['highest_median_us']:<7.1f}{row['min_us']:10.1f}"
            f"{f'{ratio:.2f} ×' if ratio else '':>9}  {row['version']}"
        )
    if summary["ratios"]:
        print(f"lcp takes {summary['ratios']['best']:.2f} × the time of the better of the two (median of the rounds' ratios)")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lcp", help="the lcp program; without it, only the two engines are timed")
    parser.add_argument("--model", help="the bundle that lcp runs (its default: LeNet in four branches)")
    parser.add_argument("--branch", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5000, help="runs of each engine in a round")
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / ".build" / "engines", help="folder for what is made")
    parser.add_argument("--python", help="a Python that has onnxruntime, openvino, onnx and numpy, instead of a new environment")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.runs < 1:
        parser.error("--rounds and --runs start at 1")
    return arguments


def main():
    arguments = parse_arguments()
    try:
        arguments.build.mkdir(parents=True, exist_ok=True)
        build = arguments.build.resolve()
        python = arguments.python or prepare_python(build)
        timer, libraries = prepare_engines(build, python)
    except (Skip, OSError) as reason:
        print(f"SKIPPED: lcp is not compared with ONNX Runtime and OpenVINO: {reason}", file=sys.stderr)
        if arguments.json:
            print(json.dumps({"skipped": str(reason)}))
        return
    summary = summarise(*measure(arguments, timer, libraries, build))
    if arguments.json:
        print(json.dumps(summary))
    else:
        print_table(summary)


main()
