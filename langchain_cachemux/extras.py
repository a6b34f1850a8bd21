"""What only some uses need, and the command that installs it."""

from __future__ import annotations

from importlib.util import find_spec


def needs(*modules: str, extra: str, purpose: str) -> None:
    """Refuse to go on without `modules`, and name the command that installs them.

    Args:
        modules: As they are imported, top level only.
        extra: The extra of langchain-cachemux that brings them.
        purpose: What needs them, as the beginning of a sentence.

    Raises:
        ImportError: One of them is not installed.
    """
    missing = [module.replace("_", "-") for module in modules if find_spec(module) is None]
    if missing:
        msg = f"{purpose} needs {', '.join(missing)}: pip install 'langchain-cachemux[{extra}]'"
        raise ImportError(msg)
