"""Refusals: error responses in the shape of the OpenAI API's errors."""

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from distilhubert_ko.errors import BusyError, DistilhubertKoError, InputError, TooLongError

RETRY_SECONDS = 2  # after which a refused client may retry: about the time of a dozen short clips
KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Refusal(HTTPException):
    """An error response in the shape of the OpenAI API's errors; `param` is the parameter at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(status, message, headers)
        self.param, self.code = param, code

    @property
    def error(self) -> dict[str, str | None]:
        """Return the content of the field `error`."""
        kind = KINDS.get(self.status_code, "server_error" if self.status_code >= 500 else "invalid_request_error")
        return {"message": self.detail, "type": kind, "param": self.param, "code": self.code}

    def response(self) -> JSONResponse:
        """Return the response to send."""
        return JSONResponse({"error": self.error}, self.status_code, self.headers)


def busy_refusal(message: str, retry_after: int = RETRY_SECONDS) -> Refusal:
    """Return a refusal that tells the client to retry after so many seconds."""
    return Refusal(429, message, code="queue_full", headers={"retry-after": str(retry_after)})


def refusal_of(error: DistilhubertKoError) -> Refusal:
    """Return the refusal for an error of this package."""
    match error:
        case BusyError():
            return busy_refusal(str(error), error.retry_after)
        case TooLongError():
            return Refusal(413, str(error), param="file")
        case InputError():
            return Refusal(400, str(error), param="file")
    return Refusal(503, str(error))
