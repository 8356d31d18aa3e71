#!/usr/bin/env python3
"""What the layers of a branch cost on ARM processors, in instructions, counted under qemu's user-mode emulation.

    Benchmarks/arm/compare.py [--json] [network ...]

The kernels are cross-compiled with the clang of the Swift toolchain and the libraries of Debian's gcc-aarch64-linux-gnu. First
every integer kernel is compared with the plain ones, as a Cortex-A53 and with all extensions. Then the convolutions and fully
connected layers of branch 0 of each network in 8 branches are run in single precision, with NEON (what a Cortex-A53 or A72
has) and with dot product (A76). Single precision is our own kernels;
branches.py counts them beside XNNPACK's.

Needs: gcc-aarch64-linux-gnu, qemu-user, a C compiler for this machine, and lcp built (make build).
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KERNELS = os.path.join(ROOT, "Sources", "CBranchKernels")


def need(program, package):
    path = shutil.which(program)
    if path is None:
        sys.exit(f"there is no {program}: install it with `sudo apt install {package}`")
    return path


def swift_clang():
    """The clang beside swift, which knows the vector types that the kernels are written with."""
    swift = need(os.environ.get("SWIFT", "swift"), "swift, see README")
    clang = os.path.join(os.path.dirname(os.path.realpath(swift)), "clang")
    return clang if os.path.exists(clang) else need("clang", "clang")


def build(folder):
    need("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    libraries = subprocess.run(
        ["aarch64-linux-gnu-gcc", "-print-libgcc-file-name"], check=True, capture_output=True, text=True).stdout
    libraries = os.path.dirname(libraries.strip())
    sources = [os.path.join(KERNELS, name) for name in sorted(os.listdir(KERNELS))
               if name.startswith("integer_") and name.endswith(".c") or name in ("dispatch.c", "portable.c")]
    kernels = os.path.join(folder, "kernels")
    subprocess.run(
        [swift_clang(), "--target=aarch64-linux-gnu", "--sysroot=/", "-isystem", "/usr/aarch64-linux-gnu/include", "-O2",
         "-static", "-fuse-ld=lld", "-I" + os.path.join(KERNELS, "include"), "-I" + KERNELS, "-B" + libraries,
         "-L" + libraries, "-L/usr/aarch64-linux-gnu/lib", os.path.join(HERE, "kernels.c"), *sources, "-o", kernels, "-lm"],
        check=True)
    plugin = os.path.join(folder, "instructions.so")
    subprocess.run(
        [need("cc", "gcc"), "-O2", "-shared", "-fPIC", "-o", plugin, os.path.join(HERE, "instructions.c")], check=True)
    return kernels, plugin


def layers(lcp, network):
    """Lines for kernels.c: the layers of branch 0 that have weights."""
    told = subprocess.run(
        [lcp, "bench", "branch", "--network", network, "--branches", "8", "--runs", "1", "--json"], check=True,
        capture_output=True, text=True)
    report = json.loads(told.stdout)
    shape = [report["input"][key] for key in ("height", "width", "channels")]
    made, lines = [], []
    for layer in report["layers"]:
        kind, (height, width, channels) = layer["type"], shape
        kernel, stride, padding = (layer.get(key, default) for key, default in (("kernel", 1), ("stride", 1), ("padding", 0)))
        if kind in ("convolution", "depthwise_convolution"):
            outputs = layer.get("outputs", channels)
            name = "conv" if kind == "convolution" else "depthwise"
            lines.append(f"{name} {height} {width} {channels} {outputs} {kernel} {stride} {padding}")
            shape = [(height + 2 * padding - kernel) // stride + 1, (width + 2 * padding - kernel) // stride + 1, outputs]
        elif kind == "fully_connected":
            lines.append(f"fc 1 1 {height * width * channels} {layer['outputs']} 1 1 0")
            shape = [1, 1, layer["outputs"]]
        elif kind in ("max_pool", "average_pool"):
            size = layer["size"]
            shape = [(height + 2 * padding - size) // stride + 1, (width + 2 * padding - size) // stride + 1, channels]
        elif kind == "global_average_pool":
            shape = [1, 1, channels]
        elif kind == "output":
            shape = made[layer["layer"]]
        made.append(shape)
    if "classes" in report:
        lines.append(f"fc 1 1 {shape[0] * shape[1] * shape[2]} {report['classes']} 1 1 0")
    return "\n".join(lines) + "\n"


def instructions(kernels, plugin, kind, lines):
    """Of one run: what a third run adds to a second."""
    def count(runs):
        told = subprocess.run(
            ["qemu-aarch64", "-cpu", "max", "-plugin", plugin, kernels, kind, str(runs)], input=lines, check=True,
            capture_output=True, text=True)
        return int(told.stderr.split()[-1])
    return count(2) - count(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("network", nargs="*", default=["alexnet", "vgg16", "resnet18", "mobilenet"])
    options = parser.parse_args()
    need("qemu-aarch64", "qemu-user")
    lcp = os.environ.get("LCP", os.path.join(ROOT, ".build", "release", "lcp"))
    if not os.path.exists(lcp):
        sys.exit(f"there is no {lcp}: build it with `make build`")
    with tempfile.TemporaryDirectory() as folder:
        kernels, plugin = build(folder)
        for processor in ("cortex-a53", "max"):
            told = subprocess.run(["qemu-aarch64", "-cpu", processor, kernels, "check"], capture_output=True, text=True)
            if told.returncode != 0:
                sys.exit(f"{told.stdout[-2000:]}the kernels differ on a {processor}")
            print(f"{processor}: {told.stdout.strip()}", file=sys.stderr)
        rows = []
        for network in options.network:
            lines = layers(lcp, network)
            single, neon, dot = (instructions(kernels, plugin, kind, lines) for kind in ("float", "1", "2"))
            rows.append({"network": f"{network}-split8", "fp32": single, "int8_neon": neon, "int8_dot_product": dot,
                         "neon_ratio": neon / single, "dot_product_ratio": dot / single})
    if options.json:
        print(json.dumps({"instructions": rows}))
        return
    print(f"{'thousands of instructions':26}{'fp32':>10}{'int8, NEON':>16}{'int8, dot product':>22}")
    for row in rows:
        neon, dot = (f"{row[key] / 1000:,.0f}  {row[ratio]:.2f}" for key, ratio in
                     (("int8_neon", "neon_ratio"), ("int8_dot_product", "dot_product_ratio")))
        print(f"{row['network']:26}{row['fp32'] / 1000:>10,.0f}{neon:>16}{dot:>22}")


if __name__ == "__main__":
    main()
