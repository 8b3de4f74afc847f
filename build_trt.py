"""Build TensorRT engines of a model folder: python build_trt.py ViT-L-14 (see --help)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bestshot_trt.embed import build
from bestshot_trt.embed.models import find_spec, models_folder, open_folder
from bestshot_trt.errors import BestshotError

EPILOG = """
An engine is tied to the GPU architecture and the TensorRT version it was built with; both are in its name.
With TensorRT-RTX (pip install tensorrt-rtx-cu12) no GPU need be there: name one by its compute capability.

examples:
  python build_trt.py ViT-L-14
  python build_trt.py ViT-B-32 --tower visual text --precision fp32 --batch 1 16 64
  python build_trt.py path/to/model --capability 8.9     # for an L4 or L40S, built on any machine
"""


def main() -> int:
    """Parse, build, print the paths."""
    parser = argparse.ArgumentParser(
        description="Build TensorRT engines of a model that `bestshot-trt models pull` or `export` made.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="name of a model in the models folder, or path of a model folder")
    parser.add_argument("--tower", nargs="+", choices=("visual", "text"), default=["visual"], help="default: visual")
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp16", help="default: fp16")
    parser.add_argument("--capability", help="compute capability to build for, as 8.9; default: this machine's GPU")
    parser.add_argument("--batch", nargs=3, type=int, metavar=("LEAST", "BEST", "MOST"), help="default: 1 32 64")
    options = parser.parse_args()
    try:
        path = Path(options.model)
        folder = open_folder(path if path.is_dir() else models_folder() / find_spec(options.model).name)
        engines = build.build_engines(
            folder,
            towers=options.tower,
            precision=options.precision,
            target=build.find_target(options.capability),
            batches=build.Batches(*options.batch) if options.batch else None,
            progress=lambda stage, *_: print(f"{stage} ...", file=sys.stderr),
        )
    except BestshotError as error:
        print(f"build_trt.py: {error}", file=sys.stderr)
        return 1
    print("\n".join(str(engine) for engine in engines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
