"""The processors' own libraries as judges of signatures. It runs in `.venv/vendors`, which has nothing of the ledger.

It reads one JSON object a line, `{"scheme", "secret", "url", "headers", "body"}`, and prints for each whether the
library of that scheme accepts it. With `"sign": true`, the library signs the body instead, and the headers (for Adyen
the body) are printed.
"""

import base64
import json
import sys
from datetime import UTC, datetime
from typing import Any

import razorpay
import stripe
from Adyen.util import generate_notification_sig, is_valid_hmac_notification
from mollie.utils.webhooks import InvalidSignatureException, SignatureValidator
from paddle_billing.Notifications import PaddleSignature, Secret
from polar.webhooks import PolarWebhookVerificationError, validate_event
from square.utils.webhooks_helper import verify_signature
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

NOT_VALID = (
    InvalidSignatureException,
    WebhookVerificationError,
    razorpay.errors.SignatureVerificationError,
    stripe.SignatureVerificationError,
)


def adyen(secret: str, body: str, **_: Any) -> bool:
    item = json.loads(body)["notificationItems"][0]["NotificationRequestItem"]
    return bool(is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": item}]}, secret))


def mollie(secret: str, headers: dict[str, str], body: str, **_: Any) -> bool:
    return bool(SignatureValidator.validate(body, secret, headers["x-mollie-signature"]))


def paddle_(secret: str, headers: dict[str, str], body: str, **_: Any) -> bool:
    return bool(PaddleSignature().verify(headers["paddle-signature"], body, Secret(secret)))


def polar(secret: str, headers: dict[str, str], body: str, **_: Any) -> bool:
    try:
        validate_event(body, headers, secret, frozenset({json.loads(body)["type"]}), lambda data: data)
    except PolarWebhookVerificationError:
        return False
    return True


def razorpay_(secret: str, headers: dict[str, str], body: str, **_: Any) -> bool:
    utility = razorpay.Client(auth=("unused", "unused")).utility
    return bool(utility.verify_webhook_signature(body, headers["x-razorpay-signature"], secret))


def square(secret: str, url: str, headers: dict[str, str], body: str) -> bool:
    return bool(
        verify_signature(
            request_body=body,
            signature_header=headers["x-square-hmacsha256-signature"],
            signature_key=secret,
            notification_url=url,
        )
    )


def standard_webhooks(secret: str, headers: dict[str, str], body: str, **_: Any) -> bool:
    return Webhook(secret).verify(body, headers) is not None


def stripe_(secret: str, headers: dict[str, str], body: str, **_: Any) -> bool:
    return bool(stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], secret, tolerance=300))


JUDGES: dict[str, Any] = {
    "ADYEN": adyen,
    "MOLLIE": mollie,
    "PADDLE": paddle_,
    "POLAR": polar,
    "RAZORPAY": razorpay_,
    "SQUARE": square,
    "STANDARD_WEBHOOKS": standard_webhooks,
    "STRIPE": stripe_,
}


def signed(scheme: str, secret: str, body: str) -> dict[str, Any]:
    """Return the headers and the body that the library signs. Four of the libraries can sign."""
    now = datetime.now(UTC)
    if scheme == "ADYEN":
        notification = json.loads(body)
        item = notification["notificationItems"][0]["NotificationRequestItem"]
        signature = generate_notification_sig(item, secret)
        signature = signature.decode() if isinstance(signature, bytes) else signature
        item["additionalData"] = {**item.get("additionalData", {}), "hmacSignature": signature}
        return {"headers": {}, "body": json.dumps(notification)}
    if scheme == "MOLLIE":
        signature = SignatureValidator.create_signature(body, secret)
        return {"headers": {"x-mollie-signature": f"sha256={signature}"}, "body": body}
    key = base64.b64encode(secret.encode()).decode() if scheme == "POLAR" else secret
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(key).sign("msg_1", now, body),
    }
    return {"headers": headers, "body": body}


def main() -> None:
    """Judge or sign each line."""
    for line in sys.stdin:
        case = json.loads(line)
        scheme, signs = case.pop("scheme"), case.pop("sign", False)
        if signs:
            verdict: Any = signed(scheme, case["secret"], case["body"])
        else:
            try:
                verdict = JUDGES[scheme](**case)
            except NOT_VALID:
                verdict = False
        print(json.dumps(verdict))


if __name__ == "__main__":
    main()
