"""Faults on purpose, on a real Apache Kafka, and an outside reader that accounts for every frame."""
