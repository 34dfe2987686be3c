"""Many cameras on a real broker, and an outside reader that accounts for every frame."""
