"""The functions that translated TBEL calls, as one JavaScript function: `$runtime()` gives the object `$`.

A context calls it once. See `runtime_values` for how TBEL's values are represented.
"""

from typing import Final

from gateway.converters.tbel.runtime_binary import BINARY
from gateway.converters.tbel.runtime_classes import CLASSES
from gateway.converters.tbel.runtime_collections import COLLECTIONS
from gateway.converters.tbel.runtime_helpers import HELPERS
from gateway.converters.tbel.runtime_methods import METHODS
from gateway.converters.tbel.runtime_texts import TEXTS
from gateway.converters.tbel.runtime_values import VALUES

RUNTIME: Final = (
    'function $runtime() {\n  "use strict";\n  const $ = {};\n'
    + VALUES
    + COLLECTIONS
    + TEXTS
    + METHODS
    + HELPERS
    + BINARY
    + CLASSES
    + "  return $;\n}"
)
