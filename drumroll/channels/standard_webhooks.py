"""Signatures after Standard Webhooks (https://www.standardwebhooks.com), symmetric kind `v1`."""

import base64
import binascii
import hashlib
import hmac


def signing_key(secret: str) -> bytes:
    """The key in `whsec_<base64>` (the prefix may be missing). ValueError, without quoting it, when it is none."""
    try:
        key = base64.b64decode(secret.strip().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError('not a signing secret; it looks like "whsec_" and base64 of 24 to 64 random bytes')
    return key


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: HMAC-SHA256 over id, Unix seconds and body, joined by full stops."""
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()
