#!/usr/bin/env python3
"""Times the layers of a branch in eight bits by lcp's kernels and by XNNPACK's: batch 1, one thread, in turns.

    Benchmarks/engines/xnnpack.py [--json] [network ...]

The convolutions and fully connected layers of branch 0 of each network in 8 branches, with random weights. Needs libxnnpack-dev and
lcp built (make build).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "arm"))
import compare


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("network", nargs="*", default=["alexnet", "vgg16", "resnet18", "mobilenet"])
    options = parser.parse_args()
    lcp = os.environ.get("LCP", os.path.join(compare.ROOT, ".build", "release", "lcp"))
    if not os.path.exists(lcp):
        sys.exit(f"there is no {lcp}: build it with `make build`")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "xnnpack")
        sources = [os.path.join(compare.KERNELS, name) for name in sorted(os.listdir(compare.KERNELS)) if name.endswith(".c")]
        subprocess.run(
            [compare.swift_clang(), "-O2", "-I" + os.path.join(compare.KERNELS, "include"), "-I" + compare.KERNELS,
             os.path.join(os.path.dirname(os.path.abspath(__file__)), "xnnpack.c"), *sources, "-o", program,
             "-lXNNPACK", "-lm"], check=True)
        for network in options.network:
            told = subprocess.run(
                [program, "20"], input=compare.layers(lcp, network), check=True, capture_output=True, text=True)
            row = {"network": f"{network}-split8", "kernels": told.stderr.strip()}
            for key, kinds in (("convolution", ("conv",)), ("depthwise", ("depthwise",)), ("fully_connected", ("fc",)),
                               ("all", ("conv", "depthwise", "fc"))):
                times = [line.split() for line in told.stdout.splitlines()]
                ours, theirs = (sum(int(time[place]) for time in times if time[0] in kinds) / 1000 for place in (1, 2))
                if theirs > 0:
                    row[key] = {"lcp_us": ours, "xnnpack_us": theirs, "ratio": ours / theirs}
            rows.append(row)
    if options.json:
        print(json.dumps({"xnnpack": rows}))
        return
    print(f"{'microseconds':24}{'lcp':>10}{'XNNPACK':>10}{'ratio':>8}")
    for row in rows:
        print(f"{row['network']} ({row['kernels']})")
        for key in ("convolution", "depthwise", "fully_connected", "all"):
            if key in row:
                print(f"  {key.replace('_', ' '):22}{row[key]['lcp_us']:>10.1f}{row[key]['xnnpack_us']:>10.1f}{row[key]['ratio']:>8.2f}")


if __name__ == "__main__":
    main()
