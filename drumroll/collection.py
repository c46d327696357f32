"""What Prefect loads when it looks for worker types: the resident worker of the project directory, where there is one.

The wheel ships the core alone: in a directory without `tasks` there is no such worker, and nothing to complain about.
"""

import importlib

try:
    importlib.import_module("tasks.resident")
except ModuleNotFoundError as error:
    if error.name not in {"tasks", "tasks.resident"}:
        raise
