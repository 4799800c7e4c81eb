"""A user's own method, named ``module:function``, held to the contract of all methods."""

import hashlib
import importlib
import importlib.util
import inspect
import typing
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, UGradSLError, unknown_name
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.samples.protocol import Samples

CONTRACT = "(problem, config, *, generator)"
LOOKED_AT = 64  # samples of each set that are compared before and after


def own_method(name: str) -> Method:
    """The method ``module:function``.

    Its config class is the annotation of the function's second parameter, and may have the class
    variables ``TITLE`` (how tables print it) and ``SPACE`` (what ``ugradsl tune`` searches). The
    hash of its module's file is part of its configs' identity, so that results of code that has
    changed since are not taken for those of today; what the module imports is not looked at.

    Raises:
        ConfigError: no such function, another signature, or no config class.
    """
    return _own_method(name, source_sha256(name))


@cache
def _own_method(name: str, source: str | None) -> Method:
    function = find_function(name, "method")
    kind = _config_class(function, name)

    class OwnConfig(kind):  # type: ignore[misc, valid-type]
        def key_fields(self) -> dict[str, Any]:
            return {**super().key_fields(), "source": source}

        def __repr_name__(self) -> str:
            return kind.__name__

    OwnConfig.__doc__ = kind.__doc__
    documented = inspect.getdoc(function) or "a method of your own"
    return Method(
        title=str(getattr(kind, "TITLE", name.rpartition(":")[2])),
        run=_held_to_the_contract(function, name),
        config=OwnConfig,
        reads="D_r, D_f",
        summary=documented.splitlines()[0],
        passes="as it counts them itself",
        fresh=bool(getattr(kind, "FRESH", False)),
    )


def _config_class(function: Callable[..., Any], name: str) -> type[Config]:
    try:
        signature = inspect.signature(function)
        signature.bind(None, None, generator=None)
    except (TypeError, ValueError):
        found = f"; found {signature}" if "signature" in locals() else ""
        raise ConfigError(f"method: {name} should take {CONTRACT}{found}") from None
    second = list(signature.parameters.values())[1].name
    try:
        kind = typing.get_type_hints(function).get(second)
    except Exception as error:  # a name in a string that does not exist
        raise ConfigError(
            f"method: the annotations of {name} cannot be read ({said(error)})"
        ) from error
    if not (inspect.isclass(kind) and issubclass(kind, Config)):
        shown = "nothing" if kind is None else getattr(kind, "__name__", str(kind))
        raise ConfigError(
            f"method: {name} should annotate {second!r} with its config class, a subclass of "
            f"ugradsl_core.methods.UnlearnConfig; found {shown}"
        )
    if not hasattr(kind, "passes"):
        raise ConfigError(
            f"method: {kind.__name__} should be an UnlearnConfig, or have a method "
            "passes(n_r, n_f, num_classes) that returns what a run passes"
        )
    missing = [field for field, info in kind.model_fields.items() if info.is_required()]
    if missing:
        raise ConfigError(f"method: {kind.__name__} should have a default for {missing[0]!r}")
    return kind


def _held_to_the_contract(function: Callable[..., Any], name: str) -> Callable[..., UnlearnResult]:
    def run(problem: Problem, config: Config, *, generator: Generator) -> UnlearnResult:
        state = {k: v.clone() for k, v in problem.trained_state.items() if isinstance(v, Tensor)}
        sets = {"D_r": problem.retain, "D_f": problem.forget}
        before = {symbol: _first(samples) for symbol, samples in sets.items()}
        try:
            result = function(problem, config, generator=generator)
        except UGradSLError:
            raise
        except Exception as error:  # the user's code may raise anything
            raise ConfigError(f"method: {name} fails ({said(error)})") from error
        if not isinstance(result, UnlearnResult):
            raise ConfigError(
                f"method: {name} should return an UnlearnResult; found {type(result).__name__}"
            )
        _check_state(result, problem, name)
        if any(not torch.equal(problem.trained_state[k], v) for k, v in state.items()):
            raise ConfigError(
                f"method: {name} changes the original model's weights in place; begin from "
                "problem.trained_model(), which is a copy"
            )
        for symbol, samples in sets.items():
            pairs = zip(before[symbol], _first(samples), strict=True)
            if not all(torch.equal(*pair) for pair in pairs):
                raise ConfigError(f"method: {name} changes the samples of {symbol} in place")
        return result

    return run


def _check_state(result: UnlearnResult, problem: Problem, name: str) -> None:
    shapes = {k: getattr(v, "shape", None) for k, v in problem.trained_state.items()}
    found = {k: getattr(v, "shape", None) for k, v in result.state_dict.items()}
    if found != shapes:
        odd = sorted(set(shapes.items()) ^ set(found.items()), key=str)[0][0]
        raise ConfigError(
            f"method: {name} should return the weights of the same model; {odd!r} is missing or "
            "has another shape"
        )


def _first(samples: Samples) -> list[Tensor]:
    """Copies of the labels and inputs of the first samples."""
    rows = torch.arange(min(LOOKED_AT, len(samples)))
    inputs, labels = next(iter(samples.batches([rows])))
    parts = [inputs] if isinstance(inputs, Tensor) else inputs.values()
    return [part.clone() for part in (labels, *parts)]


def find_function(name: str, field: str) -> Callable[..., Any]:
    """The callable ``module:function``; error messages begin with ``field``.

    Raises:
        ConfigError: no such module or function, or a module that cannot be imported.
    """
    module_name, _, path = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module's own code may raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise ConfigError(
                f"{field}: the module {module_name!r} of {name!r} was not found; put its folder on "
                "PYTHONPATH or install it"
            ) from error
        reason = f"cannot be imported ({said(error)})"
        raise ConfigError(f"{field}: the module of {name} {reason}") from error
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            public = [known for known in dir(found) if not known.startswith("_")]
            makers = [known for known in public if callable(getattr(found, known, None))]
            raise unknown_name(f"function of {module_name}", part, makers)
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"{field}: {name} should be callable; found {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def said(error: BaseException) -> str:
    """Type and message of an exception, on one line."""
    return ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))


def source_sha256(name: str) -> str | None:
    """SHA-256 of the file of the module in ``module:function``; None where there is no file."""
    try:
        found = importlib.util.find_spec(name.partition(":")[0])
    except Exception:  # the parent package is imported, and may raise anything
        return None
    origin = Path(found.origin) if found is not None and found.origin else None
    return files_sha256([origin]) if origin is not None and origin.is_file() else None


def files_sha256(files: list[Path]) -> str | None:
    """SHA-256 of the names and contents of files; None where there are none."""
    if not files:
        return None
    hashed = hashlib.sha256()
    for path in files:
        state = path.stat()
        hashed.update(f"{path.name}:{_sha256(path, state.st_mtime_ns, state.st_size)}\n".encode())
    return hashed.hexdigest()


@cache
def _sha256(path: Path, changed: int, size: int) -> str:
    """SHA-256 of a file; ``changed`` and ``size`` tell whether it is still the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
