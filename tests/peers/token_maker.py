"""Makes keys, the JWK set of their public halves, and tokens of each, by PyJWT and nothing of ours.

Usage: token_maker.py PREFIX CLAIMS-AS-JSON; prints {"jwks": {...}, "tokens": {algorithm: token}}.
"""

import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

prefix, claims = sys.argv[1], json.loads(sys.argv[2])
of_rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
private = {
    "RS256": (RSAAlgorithm, of_rsa),
    "RS384": (RSAAlgorithm, of_rsa),
    "RS512": (RSAAlgorithm, of_rsa),
    "PS256": (RSAAlgorithm, of_rsa),
    "PS384": (RSAAlgorithm, of_rsa),
    "PS512": (RSAAlgorithm, of_rsa),
    "ES256": (ECAlgorithm, ec.generate_private_key(ec.SECP256R1())),
    "ES384": (ECAlgorithm, ec.generate_private_key(ec.SECP384R1())),
    "ES512": (ECAlgorithm, ec.generate_private_key(ec.SECP521R1())),
    "EdDSA": (OKPAlgorithm, ed25519.Ed25519PrivateKey.generate()),
    "HS256": (HMACAlgorithm, prefix.encode() + b" and enough else for a shared secret of every length that is asked for"),
}
keys, tokens = [], {}
for name, (kind, key) in private.items():
    public = key if kind is HMACAlgorithm else key.public_key()
    of_set = json.loads(kind.to_jwk(public))
    # PyJWT may say how it would use the key itself; the set says what for.
    of_set.pop("key_ops", None)
    keys.append({**of_set, "kid": f"{prefix}-{name}", "use": "sig", "alg": name})
    tokens[name] = jwt.encode(claims, key, algorithm=name, headers={"kid": f"{prefix}-{name}"})
print(json.dumps({"jwks": {"keys": keys}, "tokens": tokens}))
