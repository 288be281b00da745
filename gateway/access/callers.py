"""The file of callers: their tokens and limits."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from gateway.access.allowance import Allowance, CallerLimits
from gateway.access.fresh import Fresh
from gateway.settings import SettingError, variable

_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Caller(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
    tokens: Annotated[tuple[_Digest, ...], Field(min_length=1)]
    cost_per_second: Annotated[float, Field(gt=0)] = float("inf")
    burst: Annotated[float, Field(gt=0)] = float("inf")
    in_hand: Annotated[int, Field(ge=1)] = 2**31


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    callers: tuple[_Caller, ...]


class Callers:
    """The callers that a file names.

    It holds the SHA-256 of tokens, not tokens: who reads it can call nothing. Tokens are 256 random bits, so there is
    nothing to guess either. Limits that change leave alone what a caller has used already.
    """

    def __init__(self, file: Path) -> None:
        """Reads the file.

        Raises:
            SettingError: it cannot be read, or something in it is wrong.
        """
        self._file = file
        self._allowances: dict[str, Allowance] = {}
        self._by_digest: Fresh[Mapping[bytes, Allowance]] = Fresh([file], self._read)

    def find(self, token: str) -> Allowance | None:
        """Whose token it is. Takes the same time whichever token of the file it resembles."""
        given = hashlib.sha256(token.encode()).hexdigest().encode()
        found = None
        for digest, allowance in self._by_digest.get().items():
            if hmac.compare_digest(given, digest):
                found = allowance
        return found

    def _read(self) -> Mapping[bytes, Allowance]:
        try:
            callers = _File.model_validate(yaml.safe_load(self._file.read_text(encoding="utf-8"))).callers
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise SettingError(f"{variable('callers_file')}: {self._file}: {faults}") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SettingError(f"{variable('callers_file')}: {self._file} cannot be read as YAML: {error}") from None
        names = [caller.name for caller in callers]
        digests = [digest for caller in callers for digest in caller.tokens]
        if len(set(names)) < len(names) or len(set(digests)) < len(digests):
            raise SettingError(f"{variable('callers_file')}: {self._file}: a name or a token is there twice")
        return {digest.encode(): self._allowance(caller) for caller in callers for digest in caller.tokens}

    def _allowance(self, caller: _Caller) -> Allowance:
        limits = CallerLimits(caller.cost_per_second, caller.burst, caller.in_hand)
        known = self._allowances.setdefault(caller.name, Allowance(caller.name, limits))
        known.change(limits)
        return known


def new_token() -> tuple[str, str]:
    """A token, and what the file of callers has of it."""
    token = secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).hexdigest()
