"""What holds for all tests."""

import os

from hypothesis import settings

# The same examples at every run, so that a change is judged by what it changes. FUZZ_RANDOM=1 looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("random", print_blob=True)
settings.load_profile("random" if os.environ.get("FUZZ_RANDOM") else "repeatable")
