"""What GPUs of a type are worth while some tasks take no other."""

import numpy as np

from windlass_server.scheduler.packing.shapes import Classes, Floats, Mask


class KindPrices:
    """Prices of the types of GPU, from what is in demand and what is idle.

    Tasks that take the types of a set A and no others can go nowhere else. Let what is to come ask for as
    much as is idle, in the proportions of the demand: if those tasks ask for more than is idle of A, then
    each GPU of A that somebody else gets is one that they lack. So the price of a type is the largest
    ratio of such demand to idle GPUs among the sets that it is in, and no less than 1, which is the
    ratio for the set of all types.
    """

    def __init__(self, classes: Classes) -> None:
        demand = classes.popularity * classes.size
        share = demand / max(float(demand.sum()), 1e-12)
        self._sets: Mask = np.unique(classes.admits[classes.count > 0], axis=0)
        outside = classes.admits.astype(np.int64) @ (~self._sets).T.astype(np.int64)
        self._share = share @ (outside == 0)

    def of(self, idle: Floats) -> Floats:
        """The prices of K types, of which so many thousandths are idle; 1 without demand for GPUs."""
        ratios = self._share * idle.sum() / np.maximum(self._sets @ idle, 1.0)
        prices: Floats = np.where(self._sets, ratios[:, None], 1.0).max(axis=0, initial=1.0)
        return prices
