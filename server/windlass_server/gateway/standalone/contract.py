"""Whatever descriptor set a user has, made into one that the gateway can serve.

Sets come from `buf build` and `protoc --descriptor_set_out --include_imports`. What nearly all of them
lack is supplied from installed packages: the error model, and the Google protos that others import.
"""

import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from windlass_server.gateway.http_rules import RuleError
from windlass_server.gateway.standalone.rules_file import read_rules_file

# Modules of installed packages: protobuf and googleapis-common-protos.
_INSTALLED = re.compile(r"google/(api|logging/type|longrunning|protobuf|rpc|rpc/context|type)/\w+")
_NEEDED = (annotations_pb2, status_pb2, error_details_pb2)

Files = dict[str, descriptor_pb2.FileDescriptorProto]


class Contract:
    """A descriptor set that is complete.

    Args:
        descriptor_set: a serialized `google.protobuf.FileDescriptorSet`.
        name: what the set is called in messages.

    Raises:
        RuleError: it is no descriptor set, holds no service, or lacks what its files import.
    """

    def __init__(self, descriptor_set: bytes, name: str) -> None:
        self._name = name
        files = _parse(descriptor_set, name)
        if not any(file.service for file in files.values()):
            raise RuleError(f"{name} has no service")
        self._files = _with_supplied(files)
        self._check_imports()

    def add_rules(self, rules: Sequence[http_pb2.HttpRule]) -> None:
        """Give methods these HTTP rules, in place of those that the contract gives them.

        Raises:
            RuleError: a rule's selector is no method, or two rules have the same.
        """
        methods = dict(self._methods())
        seen: set[str] = set()
        for rule in rules:
            if rule.selector in seen:
                raise RuleError(
                    f"two HTTP rules have the selector {rule.selector!r}; use additional_bindings"
                )
            seen.add(rule.selector)
            method = methods.get(rule.selector)
            if method is None:
                raise RuleError(f"the selector {rule.selector!r} names no method of {self._name}")
            _annotate(method, rule)

    def services(self) -> list[str]:
        """Full names of all services, in the order of the set."""
        return [
            f"{file.package}.{service.name}".lstrip(".")
            for file in self._files.values()
            for service in file.service
        ]

    def services_with_rules(self) -> list[str]:
        """Full names of the services that have an HTTP rule, in the order of the set."""
        annotation: Any = annotations_pb2.http
        names = (
            selector.rpartition(".")[0]
            for selector, method in self._methods()
            if method.options.HasExtension(annotation)
        )
        return list(dict.fromkeys(names))

    def check_services(self, names: Iterable[str]) -> None:
        """Raise RuleError for a name that is no service, or of one without any HTTP rule."""
        known = self.services()
        served = self.services_with_rules()
        for name in names:
            if name not in known:
                raise RuleError(f"{self._name} has no service {name!r}")
            if name not in served:
                raise RuleError(f"no method of {name} has an HTTP rule; give some by --http-rules")

    def serialize(self) -> bytes:
        """The set, each file behind those that it imports."""
        return descriptor_pb2.FileDescriptorSet(file=_in_order(self._files)).SerializeToString()

    def _methods(self) -> Iterator[tuple[str, descriptor_pb2.MethodDescriptorProto]]:
        """The methods by the names that select them, `package.Service.Method`."""
        for file in self._files.values():
            for service in file.service:
                prefix = f"{file.package}." if file.package else ""
                for method in service.method:
                    yield f"{prefix}{service.name}.{method.name}", method

    def _check_imports(self) -> None:
        for file in self._files.values():
            for imported in file.dependency:
                if imported not in self._files:
                    raise RuleError(
                        f"{self._name} lacks {imported}, which {file.name} imports; "
                        "make it with `buf build` or with protoc's --include_imports"
                    )


def read_contract(path: Path) -> Contract:
    """Read a descriptor set; raises RuleError in one line when it cannot be read or served."""
    try:
        return Contract(path.read_bytes(), str(path))
    except OSError as error:
        raise RuleError(f"cannot read {path}: {error.strerror}") from None


def load(
    path: Path, http_rules: Path | None, services: Sequence[str]
) -> tuple[Contract, list[str]]:
    """Read a contract, and find out which of its services are served.

    Args:
        path: the descriptor set.
        http_rules: a file of HTTP rules that win over the contract's own.
        services: full names; empty means every service with an HTTP rule.

    Raises:
        RuleError: a file cannot be read or served, a service is not there or has no rule.
    """
    contract = read_contract(path)
    if http_rules is not None:
        contract.add_rules(read_rules_file(http_rules))
    served = list(services) or contract.services_with_rules()
    if not served:
        raise RuleError(f"{path} has no HTTP rules; give some by --http-rules")
    contract.check_services(served)
    return contract, served


def _parse(descriptor_set: bytes, name: str) -> Files:
    try:
        parsed = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    except DecodeError:
        parsed = descriptor_pb2.FileDescriptorSet()
    files = {file.name: file for file in parsed.file}
    if not files or "" in files:
        raise RuleError(f"{name} is not a descriptor set; make one with `buf build -o FILE.binpb`")
    return files


def _with_supplied(files: Files) -> Files:
    """The files with the error model and what can be supplied of their imports."""
    supplied: Files = {}
    defined = {symbol for file in files.values() for symbol in _symbols(file)}
    for module in _NEEDED:
        needed = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(needed)
        # A set may have it under another name, such as that of a vendored copy.
        if needed.name not in files and not defined.intersection(_symbols(needed)):
            supplied[needed.name] = needed
    pending = [*files.values(), *supplied.values()]
    while pending:
        for imported in pending.pop().dependency:
            if imported in files or imported in supplied:
                continue
            file = _installed(imported)
            if file is not None and not defined.intersection(_symbols(file)):
                supplied[imported] = file
                pending.append(file)
    return supplied | files


def _installed(name: str) -> descriptor_pb2.FileDescriptorProto | None:
    """A proto of an installed package; None when there is none."""
    module = name.removesuffix(".proto")
    if not _INSTALLED.fullmatch(module):
        return None
    try:
        found = importlib.import_module(f"{module.replace('/', '.')}_pb2")
    except ImportError:
        return None
    file = descriptor_pb2.FileDescriptorProto()
    found.DESCRIPTOR.CopyToProto(file)
    return file


def _symbols(file: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
    """Full names of what the file defines at its top."""
    prefix = f"{file.package}." if file.package else ""
    for group in (file.message_type, file.enum_type, file.service, file.extension):
        for each in group:
            yield prefix + each.name


def _in_order(files: Files) -> list[descriptor_pb2.FileDescriptorProto]:
    ordered: Files = {}

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in ordered:
            return
        if name in path:
            raise RuleError(f"{name} imports itself")
        for imported in files[name].dependency:
            add(imported, (*path, name))
        ordered[name] = files[name]

    for name in files:
        add(name, ())
    return list(ordered.values())


def _annotate(method: descriptor_pb2.MethodDescriptorProto, rule: http_pb2.HttpRule) -> None:
    annotation: Any = annotations_pb2.http
    held: Any = method.options.Extensions[annotation]
    held.CopyFrom(rule)
    held.ClearField("selector")
