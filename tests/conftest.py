"""What holds for all tests."""

import os
import signal

from hypothesis import settings

# A shell has what it starts in the background ignore SIGINT, and processes started by tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples at every run, so that a change is judged by what it changes. FUZZ_RANDOM=1 looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("random", print_blob=True)
settings.load_profile("random" if os.environ.get("FUZZ_RANDOM") else "repeatable")
