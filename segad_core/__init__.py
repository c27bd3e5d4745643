"""segad's engine: contracts, registry, recipes, store, plan, execution and metrics. It knows no plugin."""

__version__ = "0.1.0"
