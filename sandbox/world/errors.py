"""Errors in Stripe's shape."""

from typing import Any

DOCS = "https://docs.stripe.com/error-codes#"


class ApiError(Exception):
    """An answer that is an error; `status` is the HTTP status, the rest are the fields of its `error` object."""

    def __init__(self, message: str, *, status: int = 400, kind: str = "invalid_request_error", **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.fields = fields

    @property
    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"message": str(self), "type": self.kind}
        error.update({key: value for key, value in self.fields.items() if value is not None})
        if "code" in error:
            error.setdefault("doc_url", DOCS + str(error["code"]).replace("_", "-"))
        return {"error": error}


def missing(kind: str, identifier: str, param: str = "id") -> ApiError:
    """404 for an object that is named in the path, 400 for one that is named by a parameter."""
    label = kind.replace(".", " ").replace("_", " ")
    status = 404 if param == "id" else 400
    return ApiError(f"No such {label}: '{identifier}'", status=status, code="resource_missing", param=param)


def required(param: str) -> ApiError:
    return ApiError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def invalid(message: str, param: str, code: str | None = None) -> ApiError:
    return ApiError(message, param=param, code=code)
