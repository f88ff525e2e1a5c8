"""What holds for all tests: properties are tried with the same examples each time.

`HYPOTHESIS_PROFILE=explore` tries new and more ones.
"""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
