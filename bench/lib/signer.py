"""Makes a key and signs tokens by it, with PyJWT, which credentials.py has installed for this: ALGORITHM TO ISSUER AUDIENCE COUNT.
Writes TO.json (a JWK set), TO.pem (the public key) and TO.tokens (one on each line)."""

import json
import multiprocessing
import pathlib
import sys
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

KEY_ID = "bench-1"


def main():
    algorithm, to, issuer, audience, count = sys.argv[1:]
    key = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
    published = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    # What is to be done with it is said by `use`; `key_ops` would say it twice.
    published.pop("key_ops", None)
    published |= {"kid": KEY_ID, "alg": algorithm, "use": "sig"}
    pathlib.Path(f"{to}.json").write_text(json.dumps({"keys": [published]}))
    pathlib.Path(f"{to}.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with multiprocessing.Pool(initializer=Signer, initargs=(private, algorithm, issuer, audience)) as pool:
        pathlib.Path(f"{to}.tokens").write_text("".join(f"{token}\n" for token in pool.map(sign, range(int(count)), chunksize=100)))


class Signer:
    """What a process signs with: reading a key takes longer than signing."""

    def __init__(self, private, *rest):
        global signer
        signer = self
        self.key = load_pem_private_key(private, None)
        self.algorithm, self.issuer, self.audience = rest


def sign(number):
    """What a provider puts into a token, and no more."""
    now = int(time.time())
    claims = {"iss": signer.issuer, "aud": signer.audience, "sub": f"user{number}", "scope": "orders:read orders:write", "tenant": "acme",
              "iat": now, "exp": now + 86_400, "jti": f"{number:032x}"}
    return jwt.encode(claims, signer.key, signer.algorithm, headers={"kid": KEY_ID})


if __name__ == "__main__":
    main()
