"""The garbage collector's setting for a cold start. A handler imports this module before any other.

While an environment starts, Python keeps nearly every object that it makes, so searching them for garbage is wasted
time: a twentieth of a cold start. The threshold is above what a start makes. What invocations leave behind is still
collected, but rarely.
"""

import gc

gc.set_threshold(100_000)
