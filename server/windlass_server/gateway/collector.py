"""Sets Python's garbage collector for a process that serves: the server's, or the gateway's alone.

Nearly all that is made is given back by its counts of references; the collector is for cycles alone. Each
look for those holds up every call, so what counts is that no look is long.
"""

import gc

# Young objects that there are before they are looked through. A thousand streams that wake together make
# so many that with 700, as is usual, to look takes a sixth of the time that they do.
_YOUNG = 5_000
# Looks at the young before those are looked at again that have stayed, which takes as long as they are
# many: under 400 nodes 5 ms each time with one, and 16 with three of ten thousand.
_MIDDLE = 1
# Looks at those before one at all there is: 300 to 500 ms under a thousand nodes. With ten, as is usual,
# that is every few minutes, and found nothing.
_OLD = 1200


def set_for_serving() -> None:
    """Call it when all is there that stays, such as the contract and its routes.

    To look through that for garbage would hold up every call for 50 to 90 ms each time.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
