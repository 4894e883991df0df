"""What callers prove who they are with, by the thousand: keys, signed tokens, signed requests."""

import base64
import hashlib
import hmac
import itertools
import pathlib
import random
import subprocess
import time

from . import peers

KEYS, KEYS_OF_AN_APP = 1_000, 10
# Several times what a worker of Tollgate remembers, so that none is known any more when its turn comes again.
TOKENS = 10_000
ISSUER, AUDIENCE = "https://id.example.com/", "bench"
# More signed requests than any proxy answers in a second: a nonce that came twice would be refused.
MOST_A_SECOND = 100_000
# Who signs tokens, as somebody else does in real life.
SIGNER, PACKAGES = "signer", ["PyJWT", "cryptography"]


def install():
    python = peers.OUT / SIGNER / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", "import jwt, cryptography"], capture_output=True).returncode != 0:
        peers.pip(SIGNER, PACKAGES)


class Keys:
    """`id.secret` each, ten of an application, in one file for each proxy's way to look them up."""

    def __init__(self, directory):
        chance = random.Random(1)
        self.all = [(f"key{number}", base64.urlsafe_b64encode(chance.randbytes(32)).decode().rstrip("=")) for number in range(KEYS)]
        self.fields = f"{directory}/keys.fields"
        self.nginx, self.haproxy = f"{directory}/keys.nginx", f"{directory}/keys.haproxy"
        self.requests = f"{directory}/signed.fields"
        self.write(self.fields, "X-API-Key: {key}.{secret}")
        self.write(self.nginx, '"{key}.{secret}" {app};')
        self.write(self.haproxy, "{key}.{secret} {app}")

    def write(self, path, line):
        pathlib.Path(path).write_text("".join(
            line.format(app=f"app{number // KEYS_OF_AN_APP}", key=key, secret=secret) + "\n"
            for number, (key, secret) in enumerate(self.all)))

    def apps(self, line):
        """As Tollgate has them, with this line for each key."""
        text = ["apps:"]
        for first in range(0, KEYS, KEYS_OF_AN_APP):
            text += [f"  app{first // KEYS_OF_AN_APP}:", "    keys:"]
            text += ["      - " + line(key, secret) for key, secret in self.all[first:first + KEYS_OF_AN_APP]]
        return "\n".join(text)

    def hashed(self):
        return self.apps(lambda key, secret: f'{{ id: {key}, hash: "sha256:{hashlib.sha256(secret.encode()).hexdigest()}" }}')

    def plain(self):
        """What is signed by a secret can be verified only by whoever has it."""
        return self.apps(lambda key, secret: f"{{ id: {key}, secret: {secret} }}")

    def sign(self, seconds):
        """Writes so many seconds of requests signed just now, each with a nonce of its own."""
        now, batch = int(time.time()), f"{time.time_ns():x}"
        with open(self.requests, "w") as lines:
            for number, (key, secret) in zip(range(seconds * MOST_A_SECOND + 1), itertools.cycle(self.all)):
                nonce = f"{batch}-{number}"
                signature = hmac.digest(secret.encode(), f"GET\n/\n{now}\n{nonce}\n".encode(), "sha256").hex()
                lines.write(f"X-API-Key: {key}\tX-Timestamp: {now}\tX-Nonce: {nonce}\tX-Signature: {signature}\n")
        return self.requests


class Tokens:
    """Many tokens by one key; `known` is one of them alone, `new` all."""

    def __init__(self, directory, algorithm):
        home = f"{directory}/{algorithm}"
        signer = pathlib.Path(__file__).with_name("signer.py")
        subprocess.run([peers.OUT / SIGNER / "bin" / "python", signer, algorithm, home, ISSUER, AUDIENCE, str(TOKENS)], check=True)
        self.algorithm, self.jwks, self.public = algorithm, f"{home}.json", f"{home}.pem"
        tokens = pathlib.Path(f"{home}.tokens").read_text().split()
        self.new, self.known = f"{home}.new", f"{home}.known"
        for path, some in ((self.new, tokens), (self.known, tokens[:1])):
            pathlib.Path(path).write_text("".join(f"Authorization: Bearer {token}\n" for token in some))
        # A good token whose signature is another's.
        self.forged = f"Authorization: Bearer {tokens[0].rsplit('.', 1)[0]}.{tokens[1].rsplit('.', 1)[1]}\r\n"
