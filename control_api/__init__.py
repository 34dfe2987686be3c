"""The control plane: the REST API of the Tensorflow GPU Inference API, in front of any number of workers."""
