import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPrivateKeySpec;
import java.security.spec.ECPublicKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * 电桥单文件客户端（Java ≥ 8，无依赖，P-256 密钥）/ One-file client of Dianqiao (Java >= 8, no dependencies, P-256 keys).
 *
 * <pre>
 * javac -encoding UTF-8 DianqiaoClient.java
 * java DianqiaoClient push   --url https://hub --party ID --key private.jwk --contract approval-result@1 --sub NO data.json
 * java DianqiaoClient plain  --url https://hub --party ID --app-key AK --secret-file F --contract approval-result@1 data.json
 * java DianqiaoClient status --url https://hub --party ID --key private.jwk EXCHANGE
 * </pre>
 *
 * 可选 / optional: --hub-id dianqiao, --jti ID（重发时不变 / the same when sent again）, --case-no NO, --obo PARTY,
 * --jwks FILE（固定的枢纽公钥 / pinned keys of the hub）.
 * 退出码 / exit code: 0 受理 accepted, 1 拒绝或回执不可信 refused, or a receipt that proves nothing, 2 用法 usage,
 * 5 不可达 unreachable.
 */
public final class DianqiaoClient {
    /** What the hub answered instead of a receipt, or why its receipt is not to be trusted. */
    public static final class Problem extends Exception {
        private static final long serialVersionUID = 1L;
        public final String code;
        public final int exitCode;

        Problem(String code, String text, int exitCode) {
            super(text);
            this.code = code;
            this.exitCode = exitCode;
        }
    }

    private static Problem distrust(String why) {
        return new Problem("receipt.untrusted", "receipt.untrusted: " + why, 1);
    }

    static {
        // HttpURLConnection would send a POST twice by itself when a kept connection breaks; a nonce serves once.
        System.setProperty("sun.net.http.retryPost", "false");
    }

    private static final int ATTEMPTS = 6;

    private final String url;
    private final String hubId;
    private final String party;
    private Map<String, Object> jwks;

    /** @param jwks the hub's published keys, or null to fetch them */
    public DianqiaoClient(String url, String hubId, String party, Map<String, Object> jwks) {
        this.url = url.replaceAll("/+$", "");
        this.hubId = hubId;
        this.party = party;
        this.jwks = jwks;
    }

    /** Door 4: signed by the party itself. {@code data} is JSON text, sent as it is, with the same bytes each time. */
    public Map<String, Object> push(Map<String, Object> key, String contract, String sub, String data, String givenJti,
            String caseNo, String obo) throws Problem, GeneralSecurityException, InterruptedException {
        String jti = givenJti == null ? UUID.randomUUID().toString() : givenJti;
        Map<String, Object> claims = registered(300, jti);
        claims.put("contract", contract);
        claims.put("sub", sub);
        if (caseNo != null) claims.put("caseNo", caseNo);
        if (obo != null) claims.put("obo", obo);
        String text = write(claims);
        String token = sign(key, "exchange+jwt", text.substring(0, text.length() - 1) + ",\"data\":" + data + "}");
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("Content-Type", "application/jwt");
        headers.put("Accept", "application/json");
        Answer answer = insistently(() -> ask("POST", url + "/v1/exchanges", headers, utf8(token)));
        return checked(answer, contract, jti, "tokenDigest", digest(utf8(token)));
    }

    /** Door 2: plain JSON with an AppKey. New timestamp, nonce and MAC for every attempt, the same request id. */
    public Map<String, Object> pushPlain(String appKey, String secret, String contract, String data, String givenId)
            throws Problem, GeneralSecurityException, InterruptedException, IOException {
        String requestId = givenId == null ? UUID.randomUUID().toString() : givenId;
        String target = url + "/v1/plain/" + contract;
        String path = new URL(target).getPath();
        byte[] body = utf8(data);
        Answer answer = insistently(() -> {
            String timestamp = Long.toString(System.currentTimeMillis());
            String nonce = UUID.randomUUID().toString();
            String text = String.join("\n", "HMAC-SHA256", "POST", path, appKey, timestamp, nonce, requestId,
                    hex(sha256(body)));
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(utf8(secret), "HmacSHA256"));
            Map<String, String> headers = new LinkedHashMap<>();
            headers.put("Content-Type", "application/json");
            headers.put("X-App-Key", appKey);
            headers.put("X-Timestamp", timestamp);
            headers.put("X-Nonce", nonce);
            headers.put("X-Request-Id", requestId);
            headers.put("X-Sign-Method", "HMAC-SHA256");
            headers.put("X-Sign", hex(mac.doFinal(utf8(text))));
            return ask("POST", target, headers, body);
        });
        return checked(answer, contract, requestId, "bodyDigest", digest(body));
    }

    /** Status of an own exchange and of its deliveries, as JSON text. */
    public String status(Map<String, Object> key, String exchange)
            throws Problem, GeneralSecurityException, InterruptedException {
        String htu = url + "/v1/exchanges/" + exchange;
        Map<String, Object> claims = registered(60, UUID.randomUUID().toString());
        claims.put("htm", "GET");
        claims.put("htu", htu);
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("Authorization", "Bearer " + sign(key, "request+jwt", write(claims)));
        Answer answer = insistently(() -> ask("GET", htu, headers, null));
        if (answer.code != 200) throw problem(answer);
        return answer.text;
    }

    private Map<String, Object> registered(int seconds, String jti) {
        long now = System.currentTimeMillis() / 1000;
        Map<String, Object> claims = new LinkedHashMap<>();
        claims.put("iss", party);
        claims.put("aud", hubId);
        claims.put("iat", now);
        claims.put("exp", now + seconds);
        claims.put("jti", jti);
        return claims;
    }

    /**
     * A receipt counts when a published key of this hub signed it for this party and it speaks of exactly what was
     * sent. An original receipt (200) speaks of the bytes that were sent first.
     */
    private Map<String, Object> checked(Answer answer, String contract, String jti, String name, String digest)
            throws Problem, GeneralSecurityException, InterruptedException {
        if (answer.code != 200 && answer.code != 202) throw problem(answer);
        Map<String, Object> body = object(answer.text);
        Map<String, Object> claims = verify(keys(), "receipt+jwt", String.valueOf(body.get("receipt")));
        Map<?, ?> of = claims.get("of") instanceof Map ? (Map<?, ?>) claims.get("of") : new LinkedHashMap<>();
        if (!hubId.equals(claims.get("iss")) || !party.equals(claims.get("aud"))) {
            throw distrust("it is of another hub or party");
        }
        if (!party.equals(of.get("iss")) || !jti.equals(of.get("jti")) || !contract.equals(of.get("contract"))) {
            throw distrust("it is of another message");
        }
        if (answer.code == 202 && !digest.equals(of.get(name))) throw distrust("it is of other bytes");
        if (!Objects.equals(claims.get("exchange"), body.get("exchange"))) throw distrust("it is of another exchange");
        Map<String, Object> receipt = new LinkedHashMap<>();
        receipt.put("exchange", body.get("exchange"));
        receipt.put("replayed", answer.code == 200);
        receipt.put("origin", claims.get("origin"));
        receipt.put("receipt", body.get("receipt"));
        return receipt;
    }

    private Map<String, Object> keys() throws Problem, GeneralSecurityException, InterruptedException {
        if (jwks == null) {
            Answer answer = insistently(
                    () -> ask("GET", url + "/.well-known/jwks.json", new LinkedHashMap<>(), null));
            if (answer.code != 200) throw problem(answer);
            jwks = object(answer.text);
        }
        return jwks;
    }

    // --- tokens (RFC 7515, RFC 7638) -------------------------------------------------------------------------------

    /** What is signed is what stands in {@code payload}, JSON text. */
    static String sign(Map<String, Object> key, String typ, String payload) throws GeneralSecurityException {
        String header = "{\"alg\":\"ES256\",\"kid\":\"" + thumbprint(key) + "\",\"typ\":\"" + typ + "\"}";
        String input = encode(utf8(header)) + "." + encode(utf8(payload));
        ECPrivateKeySpec spec = new ECPrivateKeySpec(number(key, "d"), p256());
        PrivateKey privateKey = KeyFactory.getInstance("EC").generatePrivate(spec);
        Signature signature = Signature.getInstance("SHA256withECDSA");
        signature.initSign(privateKey);
        signature.update(utf8(input));
        return input + "." + encode(fromDer(signature.sign()));
    }

    /** The claims of a token that one of these keys signed. */
    static Map<String, Object> verify(Map<String, Object> jwks, String typ, String token)
            throws Problem, GeneralSecurityException {
        String[] parts = token.split("\\.", -1);
        if (parts.length != 3) throw distrust("no compact token");
        try {
            Map<String, Object> header = object(new String(decode(parts[0]), StandardCharsets.UTF_8));
            for (Object one : (List<?>) jwks.get("keys")) {
                Map<String, Object> key = new LinkedHashMap<>();
                ((Map<?, ?>) one).forEach((name, value) -> key.put(String.valueOf(name), value));
                if (!"P-256".equals(key.get("crv")) || !thumbprint(key).equals(header.get("kid"))) continue;
                Signature signature = Signature.getInstance("SHA256withECDSA");
                ECPoint point = new ECPoint(number(key, "x"), number(key, "y"));
                PublicKey publicKey = KeyFactory.getInstance("EC").generatePublic(new ECPublicKeySpec(point, p256()));
                signature.initVerify(publicKey);
                signature.update(utf8(parts[0] + "." + parts[1]));
                boolean isTyped = typ.equals(header.get("typ")) && "ES256".equals(header.get("alg"));
                if (!isTyped || !signature.verify(toDer(decode(parts[2])))) {
                    throw distrust("the signature does not verify");
                }
                return object(new String(decode(parts[1]), StandardCharsets.UTF_8));
            }
        } catch (IllegalArgumentException | ClassCastException | NullPointerException | GeneralSecurityException e) {
            throw distrust("it cannot be read: " + e);
        }
        throw distrust("not signed by a key of the hub");
    }

    /** The kid: the members that count, in alphabetic order. */
    static String thumbprint(Map<String, Object> key) throws GeneralSecurityException {
        Map<String, Object> members = new LinkedHashMap<>();
        for (String name : new String[] {"crv", "kty", "x", "y"}) members.put(name, key.get(name));
        return encode(sha256(utf8(write(members))));
    }

    private static ECParameterSpec p256() throws GeneralSecurityException {
        AlgorithmParameters parameters = AlgorithmParameters.getInstance("EC");
        parameters.init(new ECGenParameterSpec("secp256r1"));
        return parameters.getParameterSpec(ECParameterSpec.class);
    }

    private static BigInteger number(Map<String, Object> key, String name) {
        return new BigInteger(1, decode(String.valueOf(key.get(name))));
    }

    /** Java signs in DER, SEQUENCE {INTEGER r, INTEGER s}; JOSE wants r‖s of 32 bytes each (RFC 7518 §3.4). */
    static byte[] fromDer(byte[] der) {
        byte[] joined = new byte[64];
        int at = 2;
        for (int half = 0; half < 2; half++) {
            int length = der[at + 1];
            byte[] value = new BigInteger(1, Arrays.copyOfRange(der, at + 2, at + 2 + length)).toByteArray();
            int skip = Math.max(0, value.length - 32);
            System.arraycopy(value, skip, joined, half * 32 + 32 - (value.length - skip), value.length - skip);
            at += 2 + length;
        }
        return joined;
    }

    static byte[] toDer(byte[] joined) throws Problem {
        if (joined.length != 64) throw distrust("a signature that is not r‖s");
        byte[] r = new BigInteger(1, Arrays.copyOfRange(joined, 0, 32)).toByteArray();
        byte[] s = new BigInteger(1, Arrays.copyOfRange(joined, 32, 64)).toByteArray();
        byte[] der = new byte[6 + r.length + s.length];
        der[0] = 0x30;
        der[1] = (byte) (4 + r.length + s.length);
        der[2] = 0x02;
        der[3] = (byte) r.length;
        System.arraycopy(r, 0, der, 4, r.length);
        der[4 + r.length] = 0x02;
        der[5 + r.length] = (byte) s.length;
        System.arraycopy(s, 0, der, 6 + r.length, s.length);
        return der;
    }

    private static String encode(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    private static byte[] decode(String text) {
        return Base64.getUrlDecoder().decode(text);
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] sha256(byte[] bytes) throws GeneralSecurityException {
        return MessageDigest.getInstance("SHA-256").digest(bytes);
    }

    private static String digest(byte[] bytes) throws GeneralSecurityException {
        return "sha-256:" + encode(sha256(bytes));
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte one : bytes) text.append(String.format("%02x", one));
        return text.toString();
    }

    // --- HTTP ------------------------------------------------------------------------------------------------------

    private static final class Answer {
        int code;
        String text;
        int retryAfter;
    }

    private interface Attempt {
        Answer make() throws IOException, GeneralSecurityException;
    }

    private static Answer ask(String method, String target, Map<String, String> headers, byte[] body)
            throws IOException {
        HttpURLConnection connection = (HttpURLConnection) new URL(target).openConnection();
        connection.setRequestMethod(method);
        connection.setConnectTimeout(10_000);
        connection.setReadTimeout(60_000);
        for (Map.Entry<String, String> header : headers.entrySet()) {
            connection.setRequestProperty(header.getKey(), header.getValue());
        }
        if (body != null) {
            connection.setDoOutput(true);
            connection.getOutputStream().write(body);
        }
        Answer answer = new Answer();
        answer.code = connection.getResponseCode();
        answer.retryAfter = connection.getHeaderFieldInt("Retry-After", 0);
        InputStream stream = answer.code < 400 ? connection.getInputStream() : connection.getErrorStream();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        byte[] buffer = new byte[8192];
        for (int n; stream != null && (n = stream.read(buffer)) > 0; ) bytes.write(buffer, 0, n);
        answer.text = new String(bytes.toByteArray(), StandardCharsets.UTF_8);
        return answer;
    }

    /** 429, 503 and a lost answer are no refusals: the same jti is safe until the hub has answered. */
    private static Answer insistently(Attempt attempt) throws Problem, GeneralSecurityException, InterruptedException {
        for (int n = 1;; n++) {
            long waitMs = Math.min(500L << (n - 1), 8000);
            try {
                Answer answer = attempt.make();
                if ((answer.code != 429 && answer.code != 503) || n == ATTEMPTS) return answer;
                waitMs = Math.max(waitMs, Math.min(answer.retryAfter, 60) * 1000L);
            } catch (IOException e) {
                if (n == ATTEMPTS) throw new Problem("unreachable", "unreachable: " + e, 5);
            }
            Thread.sleep(waitMs);
        }
    }

    /** RFC 9457 with a stable code. */
    private static Problem problem(Answer answer) {
        Object code = null;
        try {
            code = object(answer.text).get("code");
        } catch (Problem ignored) {
            // an answer of something between us and the hub
        }
        int exit = answer.code == 429 || answer.code == 503 ? 5 : 1;
        return new Problem(code == null ? String.valueOf(answer.code) : code.toString(), answer.text, exit);
    }

    // --- JSON (RFC 8259), as much as keys, receipts and problems need ------------------------------------------------

    static Map<String, Object> object(String text) throws Problem {
        try {
            Json json = new Json(text);
            Object value = json.value();
            json.space();
            if (value instanceof Map && json.at == text.length()) {
                Map<String, Object> members = new LinkedHashMap<>();
                ((Map<?, ?>) value).forEach((name, member) -> members.put((String) name, member));
                return members;
            }
        } catch (IndexOutOfBoundsException | NumberFormatException e) {
            // told below
        }
        throw distrust("an answer that is no JSON object");
    }

    private static final class Json {
        private final String text;
        private int at;

        Json(String text) {
            this.text = text;
        }

        void space() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
        }

        Object value() {
            space();
            char first = text.charAt(at);
            if (first == '{') return members();
            if (first == '[') return items();
            if (first == '"') return string();
            int from = at;
            while (at < text.length() && ",]} \t\r\n".indexOf(text.charAt(at)) < 0) at++;
            String word = text.substring(from, at);
            if (word.equals("null")) return null;
            if (word.equals("true") || word.equals("false")) return word.equals("true");
            return Double.valueOf(word);
        }

        private Map<String, Object> members() {
            Map<String, Object> found = new LinkedHashMap<>();
            for (at++, space(); text.charAt(at) != '}'; next('}')) {
                space();
                String name = string();
                space();
                expect(':');
                found.put(name, value());
            }
            at++;
            return found;
        }

        private List<Object> items() {
            List<Object> found = new ArrayList<>();
            for (at++, space(); text.charAt(at) != ']'; next(']')) found.add(value());
            at++;
            return found;
        }

        private void next(char end) {
            space();
            if (text.charAt(at) != end) expect(',');
        }

        private void expect(char wanted) {
            if (text.charAt(at++) != wanted) throw new NumberFormatException("expected " + wanted);
        }

        private String string() {
            expect('"');
            StringBuilder found = new StringBuilder();
            for (char one; (one = text.charAt(at++)) != '"'; ) {
                if (one != '\\') {
                    found.append(one);
                    continue;
                }
                char escape = text.charAt(at++);
                int plain = "bfnrt".indexOf(escape);
                if (plain >= 0) found.append("\b\f\n\r\t".charAt(plain));
                else if (escape != 'u') found.append(escape);
                else found.append((char) Integer.parseInt(text.substring(at, at += 4), 16));
            }
            return found.toString();
        }
    }

    /** An object of strings, numbers and booleans. */
    static String write(Map<String, Object> members) {
        List<String> parts = new ArrayList<>();
        for (Map.Entry<String, Object> member : members.entrySet()) {
            Object value = member.getValue();
            parts.add(quoted(member.getKey()) + ":" + (value instanceof String ? quoted((String) value) : value));
        }
        return "{" + String.join(",", parts) + "}";
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char one : text.toCharArray()) {
            if (one == '"' || one == '\\') quoted.append('\\').append(one);
            else if (one < 0x20) quoted.append(String.format("\\u%04x", (int) one));
            else quoted.append(one);
        }
        return quoted.append('"').toString();
    }

    // --- command line ----------------------------------------------------------------------------------------------

    private static String read(String file) throws IOException {
        return new String(Files.readAllBytes(Paths.get(file)), StandardCharsets.UTF_8).trim();
    }

    private static String run(String[] words) throws Problem, GeneralSecurityException, IOException,
            InterruptedException {
        Map<String, String> given = new LinkedHashMap<>();
        List<String> rest = new ArrayList<>();
        for (int n = 0; n < words.length; n++) {
            if (words[n].startsWith("--") && n + 1 < words.length) given.put(words[n].substring(2), words[++n]);
            else rest.add(words[n]);
        }
        if (rest.size() != 2 || !given.containsKey("url") || !given.containsKey("party")) {
            throw new Problem("usage", "usage: push, plain or status, --url, --party, and data.json or an exchange", 2);
        }
        Map<String, Object> jwks = given.containsKey("jwks") ? object(read(given.get("jwks"))) : null;
        String hubId = given.getOrDefault("hub-id", "dianqiao");
        DianqiaoClient hub = new DianqiaoClient(given.get("url"), hubId, given.get("party"), jwks);
        String contract = given.get("contract");
        String target = rest.get(1);
        if (rest.get(0).equals("plain")) {
            String secret = read(need(given, "secret-file"));
            return write(hub.pushPlain(need(given, "app-key"), secret, contract, read(target), given.get("jti")));
        }
        Map<String, Object> key = object(read(need(given, "key")));
        if (rest.get(0).equals("status")) return hub.status(key, target);
        return write(hub.push(key, contract, need(given, "sub"), read(target), given.get("jti"), given.get("case-no"),
                given.get("obo")));
    }

    private static String need(Map<String, String> given, String name) throws Problem {
        if (given.containsKey(name)) return given.get(name);
        throw new Problem("usage", "usage: --" + name + " is needed", 2);
    }

    public static void main(String[] words) throws Exception {
        try {
            System.out.write(utf8(run(words) + "\n"));
            System.out.flush();
        } catch (Problem problem) {
            System.err.write(utf8(problem.getMessage() + "\n"));
            System.exit(problem.exitCode);
        }
    }
}
