"""The consumer: frames in, detections out."""
