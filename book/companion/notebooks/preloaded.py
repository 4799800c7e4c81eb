"""What notebooks import, for the process that their kernels are forked from."""

import os
from importlib import import_module

# matplotlib reads it when it is imported, which a kernel does after it has set it
os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
for name in (
    "ipykernel.kernelapp",
    "matplotlib_inline.backend_inline",
    "scipy.stats",
    "seaborn",
    "sklearn.datasets",
    "torchvision.models.resnet",
    "papermill",  # of book/build.py, which each process it starts imports
    "companion.figures.charts",
    "companion.figures.interactive",
    "companion.notebooks.live",
    "companion.tables.findings",
):
    import_module(name)
