"""Verifies a token by PyJWT, as a service would, and nothing of ours.

Usage: token_reader.py JWK-SET TOKEN AUDIENCE ISSUER; prints {"head": {...}, "claims": {...}}, or fails.
"""

import json
import sys

import jwt

keys, token, audience, issuer = json.loads(sys.argv[1]), *sys.argv[2:]
head = jwt.get_unverified_header(token)
key = jwt.PyJWKSet.from_dict(keys)[head["kid"]]
claims = jwt.decode(
    token, key, algorithms=[key.algorithm_name], audience=audience, issuer=issuer, options={"require": ["exp", "iat"]}
)
print(json.dumps({"head": head, "claims": claims}))
