"""`python -m segad_core.cli` is `segad`."""

from segad_core.cli import main

main()
