"""Signs requests by http-message-signatures (RFC 9421) and nothing of ours.

Usage: signer.py FOLDER JOBS-AS-JSON; FOLDER gets ed25519.pem and p256.pem, the public keys, where it has none yet. A job is
{"method", "url", "headers", "body" (or null), "covered", "key", "algorithm", "secret", "nonce", "age", "label", "tag"};
prints the fields of each.
"""

import datetime
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms

folder, jobs = Path(sys.argv[1]), json.loads(sys.argv[2])
KINDS = {"ed25519": ed25519.Ed25519PrivateKey.generate, "p256": lambda: ec.generate_private_key(ec.SECP256R1())}
ALGORITHMS = {
    "hmac-sha256": (algorithms.HMAC_SHA256, None),
    "ed25519": (algorithms.ED25519, "ed25519"),
    "ecdsa-p256-sha256": (algorithms.ECDSA_P256_SHA256, "p256"),
}


class Message:
    def __init__(self, job):
        self.method, self.url, self.headers = job["method"], job["url"], dict(job.get("headers", {}))


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, key):
        self.key = key

    def resolve_private_key(self, key_id):
        return self.key


for name, make in KINDS.items():
    if not (folder / f"{name}.key").exists():
        key = make()
        pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        (folder / f"{name}.key").write_bytes(pem)
        public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pem").write_bytes(public)
signed = []
for job in jobs:
    kind, file = ALGORITHMS[job["algorithm"]]
    key = (folder / f"{file}.key").read_bytes() if file else job["secret"].encode()
    message = Message(job)
    body = job.get("body")
    HTTPMessageSigner(signature_algorithm=kind, key_resolver=Keys(key)).sign(
        message,
        key_id=job["key"],
        created=datetime.datetime.now() - datetime.timedelta(seconds=job.get("age", 0)),
        nonce=job.get("nonce"),
        label=job.get("label"),
        tag=job.get("tag"),
        covered_component_ids=job["covered"],
        body=None if body is None else body.encode(),
    )
    signed.append(message.headers)
print(json.dumps(signed))
