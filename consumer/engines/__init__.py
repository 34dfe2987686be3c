"""Engines: what runs a model on pictures. The only place that may import TensorFlow."""

import os

# Read when TensorFlow is imported: errors only, unless the user wants more.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
