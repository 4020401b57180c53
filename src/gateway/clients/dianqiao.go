// 电桥单文件客户端（Go ≥ 1.21，仅标准库）/ One-file client of Dianqiao (Go >= 1.21, standard library only).
//
//	go run dianqiao.go push   -url https://hub -party ID -key private.jwk -contract approval-result@1 -sub NO data.json
//	go run dianqiao.go plain  -url https://hub -party ID -app-key AK -secret-file F -contract approval-result@1 data.json
//	go run dianqiao.go status -url https://hub -party ID -key private.jwk EXCHANGE
//
// 可选 / optional: -hub-id dianqiao · -jti ID（重发时不变 / the same when sent again）· -case-no NO · -obo PARTY ·
// -jwks FILE（固定的枢纽公钥 / pinned keys of the hub）
// 退出码 / exit code: 0 受理 accepted · 1 拒绝或回执不可信 refused, or a receipt that proves nothing · 2 用法 usage ·
// 5 不可达 unreachable
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Problem is what the hub answered instead of a receipt, or why its receipt is not to be trusted.
type Problem struct {
	Code, Text string
	ExitCode   int
}

func (p *Problem) Error() string { return p.Text }

func distrust(why string) error {
	return &Problem{"receipt.untrusted", "receipt.untrusted: " + why, 1}
}

// Jwk is a P-256 or Ed25519 key (RFC 7517, RFC 8037); D is the private half.
type Jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	D   string `json:"d"`
}

type Jwks struct {
	Keys []Jwk `json:"keys"`
}

// Hub is where and as whom to send. Keys are fetched where they are absent.
type Hub struct {
	URL, ID, Party string
	Keys           *Jwks
}

// Receipt is what durable acceptance answers.
type Receipt struct {
	Exchange string `json:"exchange"`
	Replayed bool   `json:"replayed"`
	Origin   string `json:"origin"`
	Receipt  string `json:"receipt"`
}

var encoding = base64.RawURLEncoding.Strict()

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha-256:" + encoding.EncodeToString(sum[:])
}

// thumbprint is the kid (RFC 7638): the members that count, in alphabetic order.
func (k Jwk) thumbprint() string {
	text := fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q}`, k.Crv, k.Kty, k.X)
	if k.Y != "" {
		text = fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q,"y":%q}`, k.Crv, k.Kty, k.X, k.Y)
	}
	sum := sha256.Sum256([]byte(text))
	return encoding.EncodeToString(sum[:])
}

func (k Jwk) alg() string {
	if k.Kty == "OKP" {
		return "Ed25519"
	}
	return "ES256"
}

func number(text string) *big.Int {
	data, _ := encoding.DecodeString(text)
	return new(big.Int).SetBytes(data)
}

func (k Jwk) sign(message []byte) ([]byte, error) {
	secret, err := encoding.DecodeString(k.D)
	if err != nil || len(secret) != 32 {
		return nil, errors.New("not a private JWK of P-256 or Ed25519")
	}
	if k.alg() == "Ed25519" {
		return ed25519.Sign(ed25519.NewKeyFromSeed(secret), message), nil
	}
	public := ecdsa.PublicKey{Curve: elliptic.P256(), X: number(k.X), Y: number(k.Y)}
	private := ecdsa.PrivateKey{PublicKey: public, D: new(big.Int).SetBytes(secret)}
	sum := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, &private, sum[:])
	if err != nil {
		return nil, err
	}
	// JOSE wants r‖s of 32 bytes each (RFC 7518 §3.4), not DER.
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature, nil
}

func (k Jwk) verifies(message, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	if k.alg() == "Ed25519" {
		public, _ := encoding.DecodeString(k.X)
		return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, message, signature)
	}
	sum := sha256.Sum256(message)
	public := ecdsa.PublicKey{Curve: elliptic.P256(), X: number(k.X), Y: number(k.Y)}
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify(&public, sum[:], r, s)
}

// SignToken makes a compact JWS (RFC 7515) over JSON text: what is signed is what stands in it.
func SignToken(key Jwk, typ, payload string) (string, error) {
	header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q}`, key.alg(), key.thumbprint(), typ)
	input := encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString([]byte(payload))
	signature, err := key.sign([]byte(input))
	return input + "." + encoding.EncodeToString(signature), err
}

// VerifyToken reads the claims of a token that one of these keys signed.
func VerifyToken(keys *Jwks, typ, token string, claims any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return distrust("no compact token")
	}
	var header struct{ Alg, Kid, Typ string }
	text, _ := encoding.DecodeString(parts[0])
	payload, err := encoding.DecodeString(parts[1])
	if json.Unmarshal(text, &header) != nil || err != nil || header.Typ != typ {
		return distrust("not the token that it should be")
	}
	for _, key := range keys.Keys {
		if key.thumbprint() != header.Kid {
			continue
		}
		signature, err := encoding.DecodeString(parts[2])
		if err != nil || key.alg() != header.Alg || !key.verifies([]byte(parts[0]+"."+parts[1]), signature) {
			return distrust("the signature does not verify")
		}
		if json.Unmarshal(payload, claims) != nil {
			return distrust("its claims are no JSON")
		}
		return nil
	}
	return distrust("not signed by a key of the hub")
}

func newID() string {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(err)
	}
	return hex.EncodeToString(id[:])
}

// Message is one exchange; Data is JSON text and sent as it is. An empty Jti gets a new one.
type Message struct{ Contract, Sub, Jti, CaseNo, Obo, Data string }

// Push sends by door 4: signed by the party itself, with the same bytes each time.
func (h *Hub) Push(key Jwk, m Message) (*Receipt, error) {
	if m.Jti == "" {
		m.Jti = newID()
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": h.Party, "aud": h.ID, "iat": now, "exp": now + 300, "jti": m.Jti,
		"contract": m.Contract, "sub": m.Sub, "data": json.RawMessage(m.Data)}
	if m.CaseNo != "" {
		claims["caseNo"] = m.CaseNo
	}
	if m.Obo != "" {
		claims["obo"] = m.Obo
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	token, err := SignToken(key, "exchange+jwt", string(payload))
	if err != nil {
		return nil, err
	}
	answer, err := insistently(func() (*http.Request, error) {
		request, err := http.NewRequest("POST", h.URL+"/v1/exchanges", strings.NewReader(token))
		if err == nil {
			request.Header.Set("Content-Type", "application/jwt")
			request.Header.Set("Accept", "application/json")
		}
		return request, err
	})
	if err != nil {
		return nil, err
	}
	return h.checked(answer, m.Contract, m.Jti, digestOf([]byte(token)), true)
}

// PushPlain sends by door 2: new timestamp, nonce and MAC for every attempt, the same request id (m.Jti).
func (h *Hub) PushPlain(appKey, secret string, m Message) (*Receipt, error) {
	if m.Jti == "" {
		m.Jti = newID()
	}
	target, err := url.Parse(h.URL + "/v1/plain/" + m.Contract)
	if err != nil {
		return nil, err
	}
	body := []byte(m.Data)
	sum := sha256.Sum256(body)
	answer, err := insistently(func() (*http.Request, error) {
		timestamp, nonce := strconv.FormatInt(time.Now().UnixMilli(), 10), newID()
		text := strings.Join([]string{"HMAC-SHA256", "POST", target.Path, appKey, timestamp, nonce, m.Jti,
			hex.EncodeToString(sum[:])}, "\n")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(text))
		request, err := http.NewRequest("POST", target.String(), bytes.NewReader(body))
		if err == nil {
			for name, value := range map[string]string{"Content-Type": "application/json", "X-App-Key": appKey,
				"X-Timestamp": timestamp, "X-Nonce": nonce, "X-Request-Id": m.Jti, "X-Sign-Method": "HMAC-SHA256",
				"X-Sign": hex.EncodeToString(mac.Sum(nil))} {
				request.Header.Set(name, value)
			}
		}
		return request, err
	})
	if err != nil {
		return nil, err
	}
	return h.checked(answer, m.Contract, m.Jti, digestOf(body), false)
}

// Status of an own exchange and of its deliveries, as JSON text.
func (h *Hub) Status(key Jwk, exchange string) (string, error) {
	htu := h.URL + "/v1/exchanges/" + exchange
	now := time.Now().Unix()
	payload, _ := json.Marshal(map[string]any{"iss": h.Party, "aud": h.ID, "iat": now, "exp": now + 60,
		"jti": newID(), "htm": "GET", "htu": htu})
	token, err := SignToken(key, "request+jwt", string(payload))
	if err != nil {
		return "", err
	}
	answer, err := insistently(func() (*http.Request, error) {
		request, err := http.NewRequest("GET", htu, nil)
		if err == nil {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		return request, err
	})
	if err != nil {
		return "", err
	}
	if answer.code != 200 {
		return "", problemOf(answer)
	}
	return string(answer.text), nil
}

type answer struct {
	code int
	text []byte
}

const attempts = 6

var client = &http.Client{Timeout: 60 * time.Second}

// insistently asks again: 429, 503 and a lost answer are no refusals, and the same jti is safe until the hub answers.
func insistently(make func() (*http.Request, error)) (*answer, error) {
	for attempt := 1; ; attempt++ {
		wait := time.Duration(min(1<<(attempt-1), 16)) * 500 * time.Millisecond
		request, err := make()
		if err != nil {
			return nil, err
		}
		response, err := client.Do(request)
		var text []byte
		if err == nil {
			text, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if err == nil && ((response.StatusCode != 429 && response.StatusCode != 503) || attempt == attempts) {
			return &answer{response.StatusCode, text}, nil
		}
		if err != nil && attempt == attempts {
			return nil, &Problem{"unreachable", "unreachable: " + err.Error(), 5}
		}
		if err == nil {
			seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
			wait = max(wait, time.Duration(min(seconds, 60))*time.Second)
		}
		time.Sleep(wait)
	}
}

// problemOf reads RFC 9457 with a stable code.
func problemOf(a *answer) error {
	problem := struct{ Code string }{strconv.Itoa(a.code)}
	_ = json.Unmarshal(a.text, &problem)
	exit := 1
	if a.code == 429 || a.code == 503 {
		exit = 5
	}
	return &Problem{problem.Code, string(a.text), exit}
}

// checked: a receipt counts when a published key of this hub signed it for this party and it speaks of exactly what was
// sent. An original receipt (200) speaks of the bytes that were sent first.
func (h *Hub) checked(a *answer, contract, jti, digest string, isToken bool) (*Receipt, error) {
	if a.code != 200 && a.code != 202 {
		return nil, problemOf(a)
	}
	var body struct{ Exchange, Receipt string }
	if json.Unmarshal(a.text, &body) != nil {
		return nil, distrust("an answer without a receipt")
	}
	keys, err := h.keys()
	if err != nil {
		return nil, err
	}
	var claims struct {
		Iss, Aud, Exchange, Origin string
		Of                         struct{ Iss, Jti, Contract, TokenDigest, BodyDigest string }
	}
	if err := VerifyToken(keys, "receipt+jwt", body.Receipt, &claims); err != nil {
		return nil, err
	}
	told := claims.Of.BodyDigest
	if isToken {
		told = claims.Of.TokenDigest
	}
	switch {
	case claims.Iss != h.ID || claims.Aud != h.Party:
		return nil, distrust("it is of another hub or party")
	case claims.Of.Iss != h.Party || claims.Of.Jti != jti || claims.Of.Contract != contract:
		return nil, distrust("it is of another message")
	case a.code == 202 && told != digest:
		return nil, distrust("it is of other bytes")
	case claims.Exchange != body.Exchange:
		return nil, distrust("it is of another exchange")
	}
	return &Receipt{body.Exchange, a.code == 200, claims.Origin, body.Receipt}, nil
}

func (h *Hub) keys() (*Jwks, error) {
	if h.Keys != nil {
		return h.Keys, nil
	}
	a, err := insistently(func() (*http.Request, error) {
		return http.NewRequest("GET", h.URL+"/.well-known/jwks.json", nil)
	})
	if err != nil {
		return nil, err
	}
	var keys Jwks
	if a.code != 200 || json.Unmarshal(a.text, &keys) != nil {
		return nil, problemOf(a)
	}
	h.Keys = &keys
	return h.Keys, nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func run(words []string) error {
	if len(words) == 0 {
		return &Problem{"usage", "usage: push, plain or status", 2}
	}
	flags := flag.NewFlagSet(words[0], flag.ContinueOnError)
	given := map[string]*string{}
	for _, name := range []string{"url", "party", "key", "contract", "sub", "jti", "case-no", "obo", "jwks", "app-key", "secret-file"} {
		given[name] = flags.String(name, "", "")
	}
	hubID := flags.String("hub-id", "dianqiao", "")
	if flags.Parse(words[1:]) != nil || flags.NArg() != 1 || *given["url"] == "" || *given["party"] == "" {
		return &Problem{"usage", "usage: -url, -party, and data.json or an exchange last", 2}
	}
	hub := &Hub{URL: strings.TrimRight(*given["url"], "/"), ID: *hubID, Party: *given["party"]}
	if path := *given["jwks"]; path != "" {
		hub.Keys = &Jwks{}
		if err := readJSON(path, hub.Keys); err != nil {
			return err
		}
	}
	var key Jwk
	if words[0] != "plain" {
		if err := readJSON(*given["key"], &key); err != nil {
			return err
		}
	}
	if words[0] == "status" {
		text, err := hub.Status(key, flags.Arg(0))
		fmt.Println(text)
		return err
	}
	data, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	message := Message{*given["contract"], *given["sub"], *given["jti"], *given["case-no"], *given["obo"], strings.TrimSpace(string(data))}
	var receipt *Receipt
	if words[0] == "plain" {
		secret, failure := os.ReadFile(*given["secret-file"])
		if failure != nil {
			return failure
		}
		receipt, err = hub.PushPlain(*given["app-key"], strings.TrimSpace(string(secret)), message)
	} else if words[0] == "push" {
		receipt, err = hub.Push(key, message)
	} else {
		return &Problem{"usage", "usage: push, plain or status", 2}
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(receipt)
	}
	return err
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		var problem *Problem
		if errors.As(err, &problem) {
			os.Exit(problem.ExitCode)
		}
		os.Exit(1)
	}
}
