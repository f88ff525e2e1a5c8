"""Who the nodes of a fleet are: keys that follow from one secret, and the ids that servers gave them."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from windlass_agent.config import ConfigError
from windlass_agent.data_dir import write_atomically
from windlass_agent.identity import NodeKey

_SEED_BYTES = 32


def node_key(seed: bytes, number: int) -> NodeKey:
    """The key of a node: always the same for the same seed and number."""
    kdf = HKDF(hashes.SHA256(), 32, salt=None, info=f"windlass/fleet/node/{number}".encode())
    return NodeKey(Ed25519PrivateKey.from_private_bytes(kdf.derive(seed)))


def load_seed(folder: Path) -> bytes:
    """The fleet's secret, made on first use.

    Raises:
        ConfigError: the file is not one of ours, or cannot be read.
    """
    path = folder / "fleet.seed"
    try:
        seed = path.read_bytes()
    except FileNotFoundError:
        seed = secrets.token_bytes(_SEED_BYTES)
        write_atomically(path, seed)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if len(seed) != _SEED_BYTES:
        raise ConfigError(f"{path} is no fleet's secret")
    return seed


def load_ids(folder: Path) -> dict[int, str]:
    """The ids of the nodes that have joined, by their number.

    Raises:
        ConfigError: the file cannot be read.
    """
    path = folder / "nodes.json"
    try:
        return {
            int(number): str(node_id) for number, node_id in json.loads(path.read_bytes()).items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"cannot read the fleet's nodes {path}: {error!r}") from None


def store_ids(folder: Path, ids: Mapping[int, str]) -> None:
    """Keep the ids for the next start."""
    named = {str(number): node_id for number, node_id in sorted(ids.items())}
    write_atomically(folder / "nodes.json", json.dumps(named, indent=1).encode() + b"\n")
