#!/usr/bin/env python3
"""电桥单文件客户端（Python ≥ 3.7，仅标准库）/ One-file client of Dianqiao (Python >= 3.7, standard library only).

  python3 dianqiao_client.py push   --url https://hub --party ID --key private.jwk --contract approval-result@1 --sub NO data.json
  python3 dianqiao_client.py plain  --url https://hub --party ID --app-key AK --secret-file F --contract approval-result@1 data.json
  python3 dianqiao_client.py status --url https://hub --party ID --key private.jwk EXCHANGE

可选 / optional: --hub-id dianqiao, --jti ID（重发时不变 / the same when sent again）, --case-no NO, --obo PARTY,
--jwks FILE（固定的枢纽公钥 / pinned keys of the hub）
退出码 / exit code: 0 受理 accepted, 1 拒绝或回执不可信 refused, or a receipt that proves nothing, 2 用法 usage,
5 不可达 unreachable

标准库没有椭圆曲线签名，故此处以纯 Python 实现 ES256（P-256，RFC 6979）。运算时间与密钥略有关系：不要在他人可精确计时的
主机上使用；高要求环境请用 Java、Go 或 TypeScript 客户端。
The standard library cannot sign with elliptic curves, so ES256 (P-256, nonces by RFC 6979) is pure Python here. Python's
integers are not constant in time: do not use it where others can time it closely; the other clients have no such limit.
"""
import argparse
import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid


class DianqiaoError(Exception):
    """What the hub answered instead of a receipt, or why its receipt is not to be trusted."""

    def __init__(self, code, message, exit_code=1):
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code


# --- P-256 (SEC 2, FIPS 186-4) -------------------------------------------------------------------------------------

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
INFINITY = (1, 1, 0)  # Jacobian: x = X/Z^2, y = Y/Z^3


def _double(point):
    x, y, z = point
    if z == 0 or y == 0:
        return INFINITY
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    z3 = ((y + z) * (y + z) - gamma - delta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, z3


def _add(one, two):
    x1, y1, z1 = one
    x2, y2, z2 = two
    if z1 == 0:
        return two
    if z2 == 0:
        return one
    z1z1, z2z2 = z1 * z1 % P, z2 * z2 % P
    u1, u2 = x1 * z2z2 % P, x2 * z1z1 % P
    s1, s2 = y1 * z2 * z2z2 % P, y2 * z1 * z1z1 % P
    if u1 == u2:
        return _double(one) if s1 == s2 else INFINITY
    h, r = (u2 - u1) % P, (s2 - s1) % P
    hh = h * h % P
    hhh, v = h * hh % P, u1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s1 * hhh) % P, h * z1 * z2 % P


def _times(scalar, affine):
    """A Montgomery ladder of 256 steps, whatever the scalar."""
    low, high = INFINITY, (affine[0], affine[1], 1)
    for bit in range(255, -1, -1):
        if scalar >> bit & 1:
            low, high = _add(low, high), _double(high)
        else:
            low, high = _double(low), _add(low, high)
    return low


def _affine_x(point):
    x, _, z = point
    return None if z == 0 else x * pow(z, P - 3, P) % P  # z^-2 by Fermat


def _nonces(private, digest):
    """RFC 6979 section 3.2: the nonce follows from key and message, so no weak random numbers can betray the key."""
    message = private.to_bytes(32, "big") + (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    key, value = b"\x00" * 32, b"\x01" * 32
    for mark in (b"\x00", b"\x01"):
        key = hmac.new(key, value + mark + message, hashlib.sha256).digest()
        value = hmac.new(key, value, hashlib.sha256).digest()
    while True:
        value = hmac.new(key, value, hashlib.sha256).digest()
        nonce = int.from_bytes(value, "big")
        if 0 < nonce < N:
            yield nonce
        key = hmac.new(key, value + b"\x00", hashlib.sha256).digest()
        value = hmac.new(key, value, hashlib.sha256).digest()


def es256_sign(private, message):
    digest = hashlib.sha256(message).digest()
    for nonce in _nonces(private, digest):
        r = _affine_x(_times(nonce, G)) % N
        s = pow(nonce, N - 2, N) * (int.from_bytes(digest, "big") + r * private) % N
        if r != 0 and s != 0:
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def es256_verify(public, message, signature):
    x, y = public
    if not (0 <= x < P and 0 <= y < P and (y * y - x * x * x + 3 * x - B) % P == 0) or len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N):
        return False
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    w = pow(s, N - 2, N)
    found = _affine_x(_add(_times(digest * w % N, G), _times(r * w % N, public)))
    return found is not None and found % N == r


# --- tokens (RFC 7515, RFC 7638) -----------------------------------------------------------------------------------


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _sha256(data):
    return "sha-256:" + _encode(hashlib.sha256(data).digest())


def thumbprint(jwk):
    members = {name: jwk[name] for name in sorted(("crv", "kty", "x", "y")) if name in jwk}
    return _encode(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())


def sign_token(jwk, typ, payload):
    """`payload` is JSON text: what is signed is what stands in it."""
    if jwk.get("crv") != "P-256":
        raise DianqiaoError("usage", "usage: this client signs with P-256 keys", 2)
    header = {"alg": "ES256", "kid": thumbprint(jwk), "typ": typ}
    signing = _encode(json.dumps(header, separators=(",", ":")).encode()) + "." + _encode(payload.encode())
    return signing + "." + _encode(es256_sign(int.from_bytes(_decode(jwk["d"]), "big"), signing.encode()))


def verify_token(jwks, typ, token):
    """The claims of a token that one of these keys signed."""
    try:
        header_text, payload, signature = token.split(".")
        header = json.loads(_decode(header_text))
        jwk = next(key for key in jwks["keys"] if key.get("crv") == "P-256" and thumbprint(key) == header["kid"])
        public = tuple(int.from_bytes(_decode(jwk[name]), "big") for name in ("x", "y"))
        signed = (header_text + "." + payload).encode()
        is_sound = header["typ"] == typ and header["alg"] == "ES256"
        if not (is_sound and es256_verify(public, signed, _decode(signature))):
            raise _distrust("the signature does not verify")
        return json.loads(_decode(payload))
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        raise _distrust("not signed by a key of the hub") from None


def _distrust(why):
    return DianqiaoError("receipt.untrusted", "receipt.untrusted: " + why)


# --- the doors -----------------------------------------------------------------------------------------------------


class Hub:
    def __init__(self, url, party, hub_id="dianqiao", jwks=None):
        self.url, self.party, self.id, self._jwks = url.rstrip("/"), party, hub_id, jwks

    def push(self, jwk, contract, sub, data, jti=None, case_no=None, obo=None):
        """Door 4: signed by the party itself. `data` is JSON text, sent as it is, with the same bytes each time."""
        jti = jti or str(uuid.uuid4())
        iat = int(time.time())
        claims = {"iss": self.party, "aud": self.id, "iat": iat, "exp": iat + 300, "jti": jti}
        claims.update({"contract": contract, "sub": sub})
        claims.update({name: value for name, value in (("caseNo", case_no), ("obo", obo)) if value})
        payload = json.dumps(claims, ensure_ascii=False)[:-1] + ',"data":' + data + "}"
        token = sign_token(jwk, "exchange+jwt", payload)
        headers = {"Content-Type": "application/jwt", "Accept": "application/json"}
        answer = _insistently(lambda: _ask(self.url + "/v1/exchanges", headers, token.encode()))
        return self._checked(answer, contract, jti, "tokenDigest", _sha256(token.encode()))

    def push_plain(self, app_key, secret, contract, data, request_id=None):
        """Door 2: plain JSON with an AppKey. New timestamp, nonce and MAC for every attempt, the same request id."""
        request_id = request_id or str(uuid.uuid4())
        url = self.url + "/v1/plain/" + contract
        body = data.encode()

        def attempt():
            timestamp, nonce = str(int(time.time() * 1000)), str(uuid.uuid4())
            path = urllib.parse.urlsplit(url).path
            parts = ["HMAC-SHA256", "POST", path, app_key, timestamp, nonce, request_id, hashlib.sha256(body).hexdigest()]
            headers = {
                "Content-Type": "application/json",
                "X-App-Key": app_key,
                "X-Timestamp": timestamp,
                "X-Nonce": nonce,
                "X-Request-Id": request_id,
                "X-Sign-Method": "HMAC-SHA256",
                "X-Sign": hmac.new(secret.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest(),
            }
            return _ask(url, headers, body)

        return self._checked(_insistently(attempt), contract, request_id, "bodyDigest", _sha256(body))

    def status(self, jwk, exchange):
        """Status of an own exchange and of its deliveries."""
        url = self.url + "/v1/exchanges/" + exchange
        iat = int(time.time())
        claims = {"iss": self.party, "aud": self.id, "iat": iat, "exp": iat + 60, "jti": str(uuid.uuid4())}
        token = sign_token(jwk, "request+jwt", json.dumps(dict(claims, htm="GET", htu=url)))
        code, text, _ = _insistently(lambda: _ask(url, {"Authorization": "Bearer " + token}))
        if code != 200:
            raise _problem(code, text)
        return json.loads(text)

    def keys(self):
        if self._jwks is None:
            code, text, _ = _insistently(lambda: _ask(self.url + "/.well-known/jwks.json", {}))
            if code != 200:
                raise _problem(code, text)
            self._jwks = json.loads(text)
        return self._jwks

    def _checked(self, answer, contract, jti, name, digest):
        """A receipt counts when a published key of this hub signed it for this party and it speaks of exactly what was
        sent. An original receipt (200) speaks of the bytes that were sent first."""
        code, text, _ = answer
        if code not in (200, 202):
            raise _problem(code, text)
        try:
            body = json.loads(text)
            exchange, receipt = body["exchange"], body["receipt"]
        except (ValueError, KeyError, TypeError):
            raise _distrust("an answer without a receipt") from None
        claims = verify_token(self.keys(), "receipt+jwt", receipt)
        of = claims.get("of", {})
        if claims.get("iss") != self.id or claims.get("aud") != self.party:
            raise _distrust("it is of another hub or party")
        if (of.get("iss"), of.get("jti"), of.get("contract")) != (self.party, jti, contract):
            raise _distrust("it is of another message")
        if code == 202 and of.get(name) != digest:
            raise _distrust("it is of other bytes")
        if claims.get("exchange") != exchange:
            raise _distrust("it is of another exchange")
        return {"exchange": exchange, "replayed": code == 200, "origin": claims.get("origin"), "receipt": receipt}


def _ask(url, headers, body=None):
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode(), 0
    except urllib.error.HTTPError as error:
        after = error.headers.get("Retry-After") or "0"
        return error.code, error.read().decode(), int(after) if after.isdigit() else 0


ATTEMPTS = 6


def _insistently(ask):
    """429, 503 and a lost answer are no refusals: the same jti is safe until the hub has answered."""
    for attempt in range(1, ATTEMPTS + 1):
        wait = min(2 ** (attempt - 1) / 2, 8)
        try:
            answer = ask()
            if answer[0] not in (429, 503) or attempt == ATTEMPTS:
                return answer
            wait = max(wait, min(answer[2], 60))
        except OSError as error:
            if attempt == ATTEMPTS:
                raise DianqiaoError("unreachable", "unreachable: %s" % error, 5) from None
        time.sleep(wait)


def _problem(status, text):
    """RFC 9457 with a stable code."""
    try:
        code = json.loads(text)["code"]
    except (ValueError, KeyError, TypeError):
        code = str(status)
    return DianqiaoError(code, text, 5 if status in (429, 503) else 1)


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["push", "plain", "status"])
    for name in ("url", "party"):
        parser.add_argument("--" + name, required=True)
    for name in ("key", "contract", "sub", "jti", "case-no", "obo", "jwks", "app-key", "secret-file"):
        parser.add_argument("--" + name)
    parser.add_argument("--hub-id", default="dianqiao")
    parser.add_argument("target", help="data.json, or an exchange")
    given = parser.parse_args()
    needed = {"push": ("key", "contract", "sub"), "plain": ("app_key", "secret_file", "contract"), "status": ("key",)}
    for name in needed[given.command]:
        if getattr(given, name) is None:
            parser.error("--%s is needed" % name.replace("_", "-"))
    jwks = None if given.jwks is None else json.loads(_read(given.jwks))
    hub = Hub(given.url, given.party, given.hub_id, jwks)
    if given.command == "push":
        jwk, data = json.loads(_read(given.key)), _read(given.target)
        answer = hub.push(jwk, given.contract, given.sub, data, given.jti, given.case_no, given.obo)
    elif given.command == "plain":
        data = _read(given.target)
        answer = hub.push_plain(given.app_key, _read(given.secret_file), given.contract, data, given.jti)
    else:
        answer = hub.status(json.loads(_read(given.key)), given.target)
    print(json.dumps(answer, ensure_ascii=False))


if __name__ == "__main__":
    try:
        main()
    except DianqiaoError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
