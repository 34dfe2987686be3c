"""`python -m framebus.cli`: the `framebus` command where no script of that name is installed."""

from framebus.cli import main

main()
