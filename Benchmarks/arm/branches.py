#!/usr/bin/env python3
"""What a whole branch costs on ARM processors by our kernels and by XNNPACK's, in instructions under qemu's user-mode emulation.

    Benchmarks/arm/branches.py LCP ROOT [--json] [BUNDLE or NETWORK ...]

LCP is the program for arm64, ROOT a Debian root for arm64 with its libraries (Packaging/build.sh makes both: the program is in the
package, the root is lcp-packages-arm64 in its cache). XNNPACK takes its kernels by /proc/cpuinfo, which is told to be a Cortex-A53's,
A72's or A76's. What a device chooses, it measures there: nothing here is a time.

Needs: qemu-user and a C compiler for this machine.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROCESSORS = {"cortex-a53": (0xD03, "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"),
              "cortex-a72": (0xD08, "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"),
              "cortex-a76": (0xD0B, "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp")}
ALL = ["lenet-split1", "lenet-split2", "lenet-split4", "lenet-split8", "cifarnet-bn-split4-f75-m20", "cifarnet-bn-split8-f75",
       "cifarnet", "alexnet", "vgg16", "resnet18", "mobilenet"]
# So many runs more there are with each of --runs.
RUNS = 8


def cpuinfo(part, features):
    return "".join(
        f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: 0x0\nCPU part\t: {part:#x}\nCPU revision\t: 3\n\n" for core in range(4))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lcp")
    parser.add_argument("root")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("name", nargs="*", default=ALL)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        plugin = os.path.join(folder, "instructions.so")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", plugin, os.path.join(HERE, "instructions.c")], check=True)
        # qemu looks for a file in the prefix first.
        prefix = os.path.join(folder, "prefix")
        os.makedirs(os.path.join(prefix, "proc"))
        for name in ("usr", "lib", "etc"):
            os.symlink(os.path.join(os.path.abspath(options.root), name), os.path.join(prefix, name))

        def instructions(processor, name, kernels):
            part, features = PROCESSORS[processor]
            with open(os.path.join(prefix, "proc", "cpuinfo"), "w", encoding="ascii") as file:
                file.write(cpuinfo(part, features))
            words = ["--model", name] if "split" in name else ["--network", name, "--branches", "8"]
            if kernels:
                words += ["--kernels", kernels]

            def count(runs):
                told = subprocess.run(
                    ["qemu-aarch64", "-cpu", "max", "-L", prefix, "-plugin", plugin, options.lcp, "bench", "branch", *words,
                     "--runs", str(runs)],
                    check=True, capture_output=True, text=True, env={**os.environ, "LCP_HOME": ROOT})
                return int(re.search(r"instructions (\d+)", told.stderr).group(1))
            return (count(3) - count(1)) / 2 / RUNS

        for name in options.name:
            row = {"branch": name if "split" in name else f"{name}-split8", "lcp": instructions("cortex-a53", name, "lcp")}
            for processor in PROCESSORS:
                row[f"xnnpack_{processor}"] = instructions(processor, name, "xnnpack")
            rows.append(row)
            print(f"{row['branch']}: {row['lcp']:,.0f}", file=sys.stderr)
    if options.json:
        print(json.dumps({"instructions": rows}))
        return
    print(f"{'thousands of instructions':28}{'lcp':>9}" + "".join(f"{'XNNPACK, ' + p[7:].upper():>20}" for p in PROCESSORS))
    for row in rows:
        others = "".join(
            f"{row[f'xnnpack_{p}'] / 1000:>14,.0f}  {row['lcp'] / row[f'xnnpack_{p}']:.2f}" for p in PROCESSORS)
        print(f"{row['branch']:28}{row['lcp'] / 1000:>9,.0f}{others}")


if __name__ == "__main__":
    main()
