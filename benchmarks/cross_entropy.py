"""Chunked linear cross-entropy against full logits with F.cross_entropy: time and peak memory of a step.

A step is forward and backward. Each measurement is a fresh process, the two sides alternate, and the ratios
are of medians. Memory is the peak of resident memory above the inputs, the head's gradient included.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIDES = ("chunked", "full")
STATUS = Path("/proc/self/status")


def main() -> None:
    """Runs all measurements and prints one line a side and one of ratios."""
    args = parse_args()
    if args.side:
        print(json.dumps(measure(args)))
        return
    results: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(args.repeats):
        for side in SIDES:
            command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            results[side].append(json.loads(run.stdout))
    medians = {
        side: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for side, runs in results.items()
    }
    for side, values in medians.items():
        print(side.ljust(8), *(f"{key} {value:10.2f}" for key, value in values.items()))
    ratios = {key: medians["chunked"][key] / medians["full"][key] for key in medians["full"]}
    print("ratio   ", *(f"{key} {value:10.3f}" for key, value in ratios.items()))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python benchmarks/cross_entropy.py --frozen"
    )
    parser.add_argument("--vocab", type=int, default=200_064)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--hidden-dim", type=int, default=512)
    parser.add_argument("--ignored-fraction", type=float, default=0.5)
    parser.add_argument(
        "--frozen", action="store_true", help="the head needs no gradient, as in multimodal stages"
    )
    parser.add_argument("--chunk-tokens", type=int, default=None, help="default: chosen by the library")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--side", choices=SIDES, default=None, help="measure one side in this process, print JSON"
    )
    return parser.parse_args()


def measure(args: argparse.Namespace) -> dict[str, float]:
    import torch
    from torch.nn import functional as F

    from phi4train.objectives.next_token import linear_cross_entropy

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    hidden = torch.randn(args.tokens, args.hidden_dim, requires_grad=True)
    weight = torch.empty(args.vocab, args.hidden_dim).normal_(0, 0.02).requires_grad_(not args.frozen)
    labels = torch.randint(args.vocab, (args.tokens,))
    labels[: int(args.tokens * args.ignored_fraction)] = -100
    (hidden[:8].detach() @ weight[:8].detach().T).sum()  # starts the matrix library
    before = resident_megabytes()
    start, start_cpu = time.perf_counter(), time.process_time()
    if args.side == "chunked":
        loss, _ = linear_cross_entropy(hidden, weight, labels, args.chunk_tokens)
    else:
        loss = F.cross_entropy(hidden @ weight.T, labels, reduction="sum")
    loss.backward()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_megabytes": peak - before}


def resident_megabytes() -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
