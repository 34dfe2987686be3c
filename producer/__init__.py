"""The producer: cameras in, frames out."""
