"""``python -m bestshot_trt`` is ``bestshot-trt``."""

from .cli import main

main()
