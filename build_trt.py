"""Build TensorRT engines of a model: python build_trt.py ViT-L-14. `bestshot-trt build` does more: see its --help."""

import argparse
import sys

from bestshot_trt.cli.models import find_folder
from bestshot_trt.embed import build
from bestshot_trt.errors import BestshotError

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model", help="a model that is here, or the folder of one")
parser.add_argument("--tower", nargs="+", choices=("visual", "text"), default=["visual"], help="default: visual")
parser.add_argument("--precision", default="fp16", help="of the graph, which says the types; default: fp16")
parser.add_argument("--capability", help="of the GPU to build for, as 8.9; default: this machine's")
options = parser.parse_args()
try:
    target = build.find_target(options.capability)
    folder = find_folder(options.model)
    made = build.build_engines(folder, towers=options.tower, precision=options.precision, target=target)
except BestshotError as error:
    sys.exit(f"build_trt.py: {error}")
print("\n".join(str(engine.path) for _, engine in made))
