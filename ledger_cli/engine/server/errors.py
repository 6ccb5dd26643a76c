"""Answers that the server gives without asking the engine."""

from http import HTTPStatus

from ledger_cli import REGION

MAX_BODY_BYTES = 16 * 1024 * 1024
"""More than any service here accepts: a batch of DynamoDB's is 16 MB."""

REQUEST_S = 60
"""How long a request and its body may take to arrive, so that a slow client does not hold a connection forever."""


class RequestError(Exception):
    """The server does not pass the request on. The answer has this status, code and message."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


NOT_FOR_PAGES = RequestError(
    HTTPStatus.FORBIDDEN, "AccessDenied", "the engine answers programs on this machine, and no web page"
)
NOT_SERVED = RequestError(
    HTTPStatus.BAD_REQUEST, "UnknownOperationException", "the engine serves what the stack and the ledger command use"
)
CODED = RequestError(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "UnsupportedMediaType",
    "the engine reads no Content-Encoding: send the body as it is",
)
"""moto decompresses a body, to any size, and looks for the operation in the result, which the server never saw."""
NOT_IMPLEMENTED = RequestError(
    HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", "the engine does not implement this operation"
)
TOO_LARGE = RequestError(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", f"a body is at most {MAX_BODY_BYTES} bytes"
)
TOO_SLOW = RequestError(HTTPStatus.REQUEST_TIMEOUT, "RequestTimeout", f"a request arrives within {REQUEST_S} seconds")
NOT_HTTP_1_1 = RequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HttpVersionNotSupported", "use HTTP/1.1")
NOT_SIGNED = RequestError(HTTPStatus.FORBIDDEN, "MissingAuthenticationToken", "sign the request, with any credentials")
OTHER_REGION = RequestError(
    HTTPStatus.BAD_REQUEST, "InvalidRegion", f"the engine is in {REGION}: sign the request for that region"
)
OTHER_CODING = RequestError(
    HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", "the engine supports no transfer coding but chunked"
)
NOT_A_JSON_OBJECT = RequestError(HTTPStatus.BAD_REQUEST, "SerializationException", "the body is not a JSON object")


def bad_request(message: str) -> RequestError:
    """Return the error of a request whose form is wrong."""
    return RequestError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


def engine_failed(error: Exception) -> RequestError:
    """Return the error of a request at which moto failed."""
    what = f"the engine failed ({type(error).__name__}): is a parameter missing?"
    return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalFailure", what)
