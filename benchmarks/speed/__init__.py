"""How fast segad is beside its peers: one process, the same inputs and weights, in turns.

    pip install 'segad[bench]'
    python -m benchmarks.speed [--only patchcore statistics] [--threads 1 2] [--batch 1 8] [-o FILE]
    python -m benchmarks.speed.tables       # writes the tables of docs/benchmarks.md
    python -m benchmarks.speed.plots        # draws docs/pictures/growth_*.svg

Results are compared before anything is timed. Each round then runs all contestants, in alternating order.
The ratio of two contestants is the median of the rounds' ratios, with the quartiles as its spread. On a
machine that does other work as well, look at processor time; on an idle one, at wall time. Beside them stands
what the machine itself does in a second, measured in the same run.
"""
