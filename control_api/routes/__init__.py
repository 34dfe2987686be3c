"""The endpoints, a module per noun."""
