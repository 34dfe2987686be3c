"""What the programs of framebus share: types, wire format, the bus, models on disk, settings.

No TensorFlow and no FastAPI in here; the programs are `consumer`, `producer` and `control_api`.
"""
