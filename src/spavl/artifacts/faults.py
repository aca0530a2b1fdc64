"""What a store's error means: absent, refused, or try again. An unanswered question is never "not there".

Only an S3 server that says `NoSuchKey`, or a disk that says ENOENT, makes a FileNotFoundError. Whatever else goes wrong
becomes one line with a next step: TryAgain if the same command may succeed later (a right that is refused among them: it
may be granted), StoreRefused if the address itself is wrong. None is a UserError, which may be one file's or one run's matter.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from spavl.errors import EXIT_USER, SpavlError, TryAgain

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_DISK_FAULTS = {
    errno.EACCES, errno.EAGAIN, errno.EBUSY, errno.EDQUOT, errno.EHOSTDOWN, errno.EIO, errno.EMFILE, errno.ENFILE,
    errno.ENODEV, errno.ENOSPC, errno.ENOTCONN, errno.EPERM, errno.EREMOTEIO, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT,
}  # fmt: skip
_CREDENTIALS = {
    "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken",
    "RequestExpired", "SignatureDoesNotMatch", "TokenRefreshRequired", "UnrecognizedClientException",
}  # fmt: skip
_TRANSIENT = {
    "400", "BadDigest", "ConditionalRequestConflict", "IncompleteBody", "InternalError", "OperationAborted",
    "PreconditionFailed", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException",
    "TooManyRequests", "XAmzContentSHA256Mismatch",
}  # fmt: skip
_STATUS_FORBIDDEN, _STATUS_NOT_FOUND, _STATUS_THROTTLED, _STATUS_SERVER = 403, 404, 429, 500
_NETWORK = {"botocore", "aiobotocore", "aiohttp", "urllib3", "asyncio"}
_AGAIN = "Run the same command again; nothing is lost."


class StoreRefused(SpavlError):
    """The store answered, and a person must act first: there is no such bucket, or its address is none.

    It ends a command as a UserError does, and is none: whoever catches those, because a file or a run may be damaged, must
    not take a store that refuses everything for that.
    """

    exit_code = EXIT_USER


class StoreFaults:
    """A context in which the errors of a store at `url` become FileNotFoundError, StoreRefused or TryAgain."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and (clear := clear_error(error, self._url)) is not None:
            raise clear from error


def clear_error(error: Exception, url: str) -> Exception | None:
    """The error to raise in place of `error`; None if it is clear already or a bug of ours."""
    if isinstance(error, SpavlError):
        return None
    if (refusal := client_error(error)) is not None:
        return _of_refusal(refusal, url)
    if isinstance(error, FileNotFoundError | FileExistsError):
        return None
    if isinstance(error, NotADirectoryError | IsADirectoryError):
        return FileNotFoundError(f"there is no file at {url}")
    if isinstance(error, OSError) and (error.errno in _DISK_FAULTS or _is_away(error)):
        reason = os.strerror(error.errno) if error.errno else str(error)
        return TryAgain(
            f"the store cannot be used at {url}: {reason}.",
            next_step="Mend it and run the same command again; nothing is lost.",
        )
    if type(error).__module__.split(".")[0] in _NETWORK:
        return _of_client_library(error, url)
    return None


def client_error(error: BaseException) -> ClientError | None:
    """The reply of the S3 server behind an error of s3fs; None if no server said it."""
    for candidate in (error, error.__cause__):
        if candidate is not None and isinstance(getattr(candidate, "response", None), dict):
            return candidate  # type: ignore[return-value]
    return None


def code_of(error: ClientError) -> str:
    """S3's word for it, such as `NoSuchKey`; the HTTP status if the reply had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status; 0 if there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_transient_code(code: str) -> bool:
    """Whether S3's word for it means that the same request may be answered later."""
    return code in _TRANSIENT


def is_about_credentials(error: ClientError) -> bool:
    """Whether the server refused the credentials themselves."""
    return code_of(error) in _CREDENTIALS


def _is_away(error: OSError) -> bool:
    return isinstance(error, ConnectionError | TimeoutError | PermissionError)


def _of_refusal(error: ClientError, url: str) -> Exception:
    code, status = code_of(error), status_of(error)
    if code == "NoSuchKey":
        return FileNotFoundError(f"there is no object at {url}")
    if code == "NoSuchBucket":
        return StoreRefused(
            f"the bucket of {url} does not exist.", next_step="Create it, or set SPAVL_STORE to another."
        )
    if is_about_credentials(error):
        return TryAgain(
            f"the credentials have expired or are not valid: {code} at {url}.",
            next_step="Renew them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or the pod's role) and "
            "run the same command again; nothing is lost.",
        )  # fmt: skip
    if code == "RequestTimeTooSkewed":
        return TryAgain(
            f"this machine's clock differs from the store's at {url}.", next_step="Set the clock. " + _AGAIN
        )
    if (
        is_transient_code(code)
        or status in (_STATUS_NOT_FOUND, _STATUS_THROTTLED)
        or status >= _STATUS_SERVER
    ):
        return TryAgain(f"the store does not answer at {url}: {code}.", next_step=_AGAIN)
    if status == _STATUS_FORBIDDEN:
        return TryAgain(
            f"access is denied: {code} at {url}.",
            next_step="Allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket for these credentials, and run the "
            "same command again; nothing is lost.",
        )  # fmt: skip
    return StoreRefused(
        f"the store refuses the request at {url}: {code} (HTTP {status}).",
        next_step="Check the address, the region and the endpoint (AWS_ENDPOINT_URL).",
    )


def _of_client_library(error: Exception, url: str) -> Exception | None:
    name = type(error).__name__
    if name == "ParamValidationError":
        return StoreRefused(f"{url} is no address of a store.", next_step="Use s3://bucket/folder.")
    if name == "NoCredentialsError":
        return TryAgain(
            f"there are no credentials for {url}.",
            next_step="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod its role.",
        )
    return TryAgain(f"the store does not answer at {url}: {name}.", next_step=_AGAIN)
