"""What an object store refuses, in one sentence each; credentials are never shown."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from v3core.places.place import PlaceError

_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_FULL = {"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_REFUSED = {"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
_UNREACHED = {"EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "HTTPClientError"}
_SLOW = {"ReadTimeoutError", "FSTimeoutError", "TimeoutError"}
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"}


@contextmanager
def explained(address: str, what: str) -> Iterator[None]:
    """What fails inside becomes a PlaceError; `what` is `read` or `written`.

    A FileNotFoundError of an object is for the caller to catch inside: here one means that there is no bucket.
    """
    try:
        yield
    except PlaceError:
        raise
    except Exception as error:  # of fsspec, botocore, aiohttp: all their own
        # Without its causes: they show requests, and perhaps credentials in their addresses.
        raise _sentence(error, address, what) from None


def _sentence(error: Exception, address: str, what: str) -> PlaceError:
    causes = list(_causes(error))
    names = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    codes = {code for cause in causes for code in _codes(cause)}
    bucket = address.partition("://")[2].partition("/")[0]
    if names & _NO_CREDENTIALS:
        return PlaceError(
            "{address} needs credentials, and none are set; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE.",
            address=address,
        )
    if "NoSuchBucket" in codes or isinstance(error, FileNotFoundError):
        return PlaceError(
            "There is no bucket '{bucket}'; create it, or choose another with V3_DATA_DIR.", bucket=bucket
        )
    if codes & _FULL or any(isinstance(cause, OSError) and cause.errno == errno.ENOSPC for cause in causes):
        return PlaceError(
            "{address} cannot be written: it is full; delete files there, or raise its quota.", address=address
        )
    if codes & _REFUSED or isinstance(error, PermissionError):
        if what == "read":
            return PlaceError(
                "{address} cannot be read: permission denied; check the rights of the credentials in the environment.",
                address=address,
            )
        return PlaceError(
            "{address} cannot be written: permission denied; check the rights of the credentials in the environment.",
            address=address,
        )
    if names & _SLOW:
        return PlaceError(
            "{address} does not answer in time; check the network and AWS_ENDPOINT_URL, and try again.",
            address=address,
        )
    if names & _UNREACHED:
        return PlaceError("{address} cannot be reached; check the network and AWS_ENDPOINT_URL.", address=address)
    return PlaceError(
        "{address} cannot be used: {problem}.",
        address=address,
        problem=redacted(" ".join(str(error).split()) or type(error).__name__).rstrip("."),
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _codes(error: BaseException) -> Iterator[str]:
    """Those of a response, as botocore keeps it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        yield str(response.get("Error", {}).get("Code", ""))
        yield str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))


def redacted(text: str) -> str:
    """Without the credentials of the environment, and without those in an address."""
    for name in _SECRETS:
        if secret := os.environ.get(name):
            text = text.replace(secret, "…")
    return re.sub(r"//[^/\s@]+@", "//…@", text)
