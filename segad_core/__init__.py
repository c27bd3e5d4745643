"""segad's engine: contracts, registry, recipes, store, plan, execution and metrics. It knows no plugin."""

import os

__version__ = "0.1.0"

# pydantic imports its own third-party plugins at its first use; listing segad's must import none of anybody
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
