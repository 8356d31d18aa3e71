#!/usr/bin/env python3
"""Times whole training steps in PyTorch beside lcp: the same network, batch, optimizer and number of threads, in turns.

    Benchmarks/training/compare.py [--lcp .build/release/lcp] [--rounds 5] [--threads 2] [NETWORK:BRANCHES:BATCH ...]

Needs numpy and torch from PyPI. A step is zero_grad(set_to_none=True), forward, cross-entropy, backward and Adam's step
(fused where this PyTorch has it) on a batch in memory, dropout active, with the widths that `lcp model split` gives.
PyTorch runs as

- eager: a module list of branches;
- compiled: the same through torch.compile;
- grouped: one network that is all branches at once, with grouped convolutions and batched matrix products;
- grouped, compiled: that through torch.compile.

Every variant is a process of its own, which measures when it is told to and waits otherwise. Before anything is timed,
eager's and grouped's losses and gradients are compared. A step of lcp also turns the batch's bytes into normalised
numbers; PyTorch's batch is ready. Memory is the most that was resident of a process, for PyTorch also less what
`import torch` takes; a compiling process holds the compiler, too.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

VARIANTS = ["eager", "compiled", "grouped", "grouped, compiled"]
DEFAULT = [f"{network}:{branches}:{batch}"
           for network in ("lenet", "cifarnet") for branches in (1, 4, 8) for batch in (64, 128)]


def read_network(lcp, case):
    name, branches, _ = case.split(":")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([lcp, "model", "split", name, "--branches", branches, "--out", folder, "--force"], check=True,
                       stdout=subprocess.DEVNULL)
        return json.loads((pathlib.Path(folder) / "model.json").read_text())["network"]


def as_branches(network):
    """A module list of branches, each a sequence, and a classification layer over what they say together."""
    import torch
    from torch import nn

    def branch(layers):
        shape = network["input"]
        channels, height, width = shape["channels"], shape["height"], shape["width"]
        modules, flat = [], False
        for layer in layers:
            kind = layer["type"]
            if kind == "convolution":
                kernel, stride, padding = layer["kernel"], layer["stride"], layer["padding"]
                modules.append(nn.Conv2d(channels, layer["outputs"], kernel, stride, padding))
                channels = layer["outputs"]
                height, width = ((size + 2 * padding - kernel) // stride + 1 for size in (height, width))
            elif kind == "fully_connected":
                if not flat:
                    modules.append(nn.Flatten())
                    channels, height, width, flat = channels * height * width, 1, 1, True
                modules.append(nn.Linear(channels, layer["outputs"]))
                channels = layer["outputs"]
            elif kind == "max_pool":
                modules.append(nn.MaxPool2d(layer["size"], layer["stride"], layer.get("padding", 0)))
                height, width = ((size + 2 * layer.get("padding", 0) - layer["size"]) // layer["stride"] + 1
                                 for size in (height, width))
            elif kind == "local_response_normalization":
                modules.append(nn.LocalResponseNorm(layer["size"], layer["alpha"], layer["beta"], layer["k"]))
            else:
                modules.append({"relu": nn.ReLU, "dropout": lambda: nn.Dropout(layer["rate"])}[kind]())
        if not flat:
            modules.append(nn.Flatten())
        return nn.Sequential(*modules), channels * height * width

    class Branched(nn.Module):
        def __init__(self):
            super().__init__()
            made = [branch(layers) for layers in network["branches"]]
            self.branches = nn.ModuleList(module for module, _ in made)
            self.sums = network["merge"] == "sum"
            features = made[0][1] if self.sums else sum(count for _, count in made)
            self.merge = nn.Linear(features, network["classes"])

        def forward(self, images):
            features = [branch(images) for branch in self.branches]
            return self.merge(sum(features[1:], features[0]) if self.sums else torch.cat(features, 1))

    return Branched()


def as_groups(branched, network):
    """The same network as one: branch b's channels are the b-th group. The weights are copied from the branches."""
    import torch
    from torch import nn

    count = len(branched.branches)

    class GroupedLinear(nn.Module):
        """[image, branch × input] or [branch, image, input] to [branch, image, output]."""

        def __init__(self, layers):
            super().__init__()
            self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]).contiguous())
            self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]).unsqueeze(1))

        def forward(self, values):
            if values.dim() == 2:
                values = values.view(values.shape[0], count, -1).transpose(0, 1)
            return torch.baddbmm(self.bias, values, self.weight)

    class GroupedNorm(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, values):
            images, channels, height, width = values.shape
            return self.layer(values.view(images * count, channels // count, height, width)).view(values.shape)

    def convolution(layers, is_first):
        one = layers[0]
        inputs = one.in_channels if is_first else one.in_channels * count
        made = nn.Conv2d(inputs, one.out_channels * count, one.kernel_size, one.stride, one.padding,
                         groups=1 if is_first else count)
        made.weight.data = torch.cat([layer.weight.detach() for layer in layers])
        made.bias.data = torch.cat([layer.bias.detach() for layer in layers])
        return made

    modules = []
    for place, layers in enumerate(zip(*branched.branches)):
        layer = layers[0]
        if isinstance(layer, nn.Conv2d):
            modules.append(convolution(layers, place == 0))
        elif isinstance(layer, nn.Linear):
            modules.append(GroupedLinear(layers))
        else:
            modules.append(GroupedNorm(layer) if isinstance(layer, nn.LocalResponseNorm) else layer)

    class Grouped(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(*modules)
            self.merge = nn.Linear(branched.merge.in_features, branched.merge.out_features)
            self.merge.load_state_dict(branched.merge.state_dict())

        def forward(self, images):
            features = self.layers(images)
            if features.dim() == 2:
                features = features.view(images.shape[0], count, -1).transpose(0, 1)
            if branched.sums:
                return self.merge(features.sum(0))
            return self.merge(features.transpose(0, 1).reshape(images.shape[0], -1))

    return Grouped() if all(layers == network["branches"][0] for layers in network["branches"]) else None


def make_batch(network, batch):
    import torch

    generator = torch.Generator().manual_seed(1)
    shape = network["input"]
    images = torch.randn(batch, shape["channels"], shape["height"], shape["width"], generator=generator)
    return images, torch.randint(0, network["classes"], (batch,), generator=generator)


def check(network, pipe):
    """Whether both networks compute the same, in one process that is gone before anything is timed."""
    import torch
    from torch.nn import functional

    torch.manual_seed(1)
    branched = as_branches(network).eval()
    grouped = as_groups(branched, network).eval()
    images, labels = make_batch(network, 16)
    losses = []
    for model in (branched, grouped):
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        first = next(model.parameters()) if model is grouped else None
        losses.append(loss.item())
    theirs = torch.cat([branch[0].weight.grad for branch in branched.branches]) if network["branches"][0][0]["type"] \
        == "convolution" else None
    pipe.send(abs(losses[0] - losses[1]) < 1e-4
              and (theirs is None or torch.allclose(first.grad, theirs, atol=1e-4 * theirs.abs().max().item())))


def serve(variant, network, batch, threads, seconds, pipe):
    """Measures when it is told to."""
    import torch
    from torch.nn import functional

    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = as_branches(network)
    if variant.startswith("grouped"):
        model = as_groups(model, network)
    model.train()
    images, labels = make_batch(network, batch)

    def compute(images, labels):
        return functional.cross_entropy(model(images), labels)

    loss = torch.compile(compute) if variant.endswith("compiled") else compute
    try:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)
    except (RuntimeError, TypeError):
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, foreach=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(images, labels).backward()
        optimizer.step()

    try:
        for _ in range(5):
            step()
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {str(error).splitlines()[0]}")
        return
    pipe.send(None)
    while pipe.recv():
        for _ in range(3):
            step()
        times, end = [], time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        pipe.send(statistics.median(times) * 1000)
    pipe.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, imported / 1024))


def time_lcp(lcp, case, threads, seconds):
    """Milliseconds a step, and the most memory that was resident, in MiB."""
    name, branches, batch = case.split(":")
    command = [lcp, "bench", "train", name, "--branches", branches, "--batch", batch, "--threads", str(threads),
               "--seconds", str(seconds), "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    report = json.loads(child.stdout.read())
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"lcp bench train ended with {child.returncode}"
    return report["median_ms"], usage.ru_maxrss / 1024


def compare(lcp, case, rounds, threads, seconds):
    network = read_network(lcp, case)
    batch = int(case.split(":")[2])
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    checker = context.Process(target=check, args=(network, theirs), daemon=True)
    checker.start()
    assert mine.recv(), f"the branches and the grouped network of {case} do not compute the same"
    checker.join()

    pipes, failures = {}, {}
    for variant in VARIANTS:
        mine, theirs = context.Pipe()
        context.Process(target=serve, args=(variant, network, batch, threads, seconds, theirs), daemon=True).start()
        failure = mine.recv()
        if failure:
            failures[variant] = failure
            print(f"{case}, {variant}: left out, {failure}", file=sys.stderr)
        else:
            pipes[variant] = mine
    times = {name: [] for name in ["lcp", *pipes]}
    memory = 0
    for _ in range(rounds):
        milliseconds, resident = time_lcp(lcp, case, threads, seconds)
        times["lcp"].append(milliseconds)
        memory = max(memory, resident)
        for variant, pipe in pipes.items():
            pipe.send(True)
            times[variant].append(pipe.recv())
    torch_memory = {}
    for variant, pipe in pipes.items():
        pipe.send(False)
        peak, imported = pipe.recv()
        torch_memory[variant] = {"peak_mib": round(peak, 1), "above_import_mib": round(peak - imported, 1)}
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = [min(times[variant][turn] for variant in pipes) / times["lcp"][turn] for turn in range(rounds)]
    fastest = min(pipes, key=medians.get)
    return {
        "network": network["base"], "branches": len(network["branches"]), "batch": batch, "median_ms": medians,
        "fastest": fastest, "ratio": statistics.median(ratios), "ratios": ratios,
        "memory": {"lcp": {"peak_mib": round(memory, 1)}, **torch_memory}, "left_out": failures,
    }


def print_row(report):
    label = f"{report['network']}, {report['branches']}, {report['batch']}"
    columns = "".join(f"{report['median_ms'][name]:11.2f}" if name in report["median_ms"] else f"{'–':>11}"
                      for name in ["lcp", *VARIANTS])
    ratio = f"{report['ratio']:9.2f}{min(report['ratios']):7.2f}–{max(report['ratios']):.2f}"
    memory = [report["memory"]["lcp"]["peak_mib"]]
    memory += [report["memory"].get(variant, {}).get("peak_mib") for variant in VARIANTS]
    above = report["memory"].get(report["fastest"], {}).get("above_import_mib")
    print(f"{label:18}{columns}{ratio}   " + " / ".join("–" if value is None else f"{value:.0f}" for value in memory)
          + f" ({above:.0f})", flush=True)


if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lcp", default=str(root / ".build/release/lcp"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="of every measurement")
    parser.add_argument("--json", action="store_true", help="one JSON object a case")
    parser.add_argument("cases", nargs="*", default=DEFAULT, metavar="NETWORK:BRANCHES:BATCH")
    arguments = parser.parse_args()
    try:
        from importlib.metadata import version

        versions = {package: version(package) for package in ("numpy", "torch")}
    except ImportError as error:
        sys.exit(f"PyTorch is not measured: {error}; pip install numpy torch, or use a Python that has them")
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)
    # Compiling in the process itself, so that no idle compilers stay behind.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    if not arguments.json:
        print(f"a training step, {arguments.threads} threads, ms, median of {arguments.rounds} rounds in turns; "
              f"PyTorch {versions['torch']}; ratio: fastest PyTorch / lcp, median and range of the rounds")
        print("memory: the most resident, MiB, in the order of the times; in brackets the fastest PyTorch's, less "
              "import torch")
        names = "".join(f"{name:>11}" for name in ("lcp", "eager", "compiled", "grouped", "gr., comp."))
        print(f"{'':18}{names}{'ratio':>9}{'rounds':>12}   memory")
    for case in arguments.cases:
        report = compare(arguments.lcp, case, arguments.rounds, arguments.threads, arguments.seconds)
        if arguments.json:
            print(json.dumps(report), flush=True)
        else:
            print_row(report)
