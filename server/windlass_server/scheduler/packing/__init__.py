"""Where tasks that take GPUs, or shares of one, are placed so that little of what is idle is of no use.

`fleet.Fleet` is the way in; README.md of the package above says what decides.
"""
