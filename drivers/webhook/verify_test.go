package webhook_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/internal/testbed"
)

var secrets = []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}

// signed is a request as a receiver sees it: headers and body.
type signed struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Secret  string            `json:"secret"`
}

// send makes the driver send one change, signed with the given secrets.
func send(t *testing.T, secrets ...string) signed {
	srv := capture(t)
	d := webhook.New(webhook.Options{URL: srv.URL, SigningSecrets: secrets})
	defer d.Close()
	if err := apply(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	s := signed{Headers: map[string]string{}, Body: srv.body}
	for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		s.Headers[name] = srv.header.Get(name)
	}
	return s
}

func (s signed) verify(secrets ...string) error {
	header := http.Header{}
	for name, value := range s.Headers {
		header.Set(name, value)
	}
	return webhook.Verify(header, []byte(s.Body), secrets...)
}

func TestVerify(t *testing.T) {
	const other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	at := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	for name, test := range map[string]struct {
		change  func(*signed)
		secrets []string
		want    string // "" if it is authentic
	}{
		"as sent":              {func(*signed) {}, secrets[:1], ""},
		"the second secret":    {func(*signed) {}, []string{other, secrets[1]}, ""},
		"an unknown secret":    {func(*signed) {}, []string{other}, "no signature"},
		"no secret":            {func(*signed) {}, nil, "no signature"},
		"a short secret":       {func(*signed) {}, []string{"whsec_YWJj"}, "secret 0 holds 3 bytes, and Standard Webhooks wants at least 24"},
		"a faulty secret":      {func(*signed) {}, []string{"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "secret 0 is not"},
		"another body":         {func(s *signed) { s.Body += " " }, secrets, "no signature"},
		"another id":           {func(s *signed) { s.Headers["webhook-id"] += "0" }, secrets, "no signature"},
		"another time":         {func(s *signed) { s.Headers["webhook-timestamp"] = at(-time.Minute) }, secrets, "no signature"},
		"no id":                {func(s *signed) { delete(s.Headers, "webhook-id") }, secrets, "missing"},
		"no time":              {func(s *signed) { delete(s.Headers, "webhook-timestamp") }, secrets, "missing"},
		"no signature":         {func(s *signed) { delete(s.Headers, "webhook-signature") }, secrets, "no signature"},
		"another version":      {func(s *signed) { s.Headers["webhook-signature"] = "v2" + s.Headers["webhook-signature"][2:] }, secrets[:1], "no signature"},
		"from too long ago":    {func(s *signed) { s.Headers["webhook-timestamp"] = at(-6 * time.Minute) }, secrets, "too far"},
		"from the future":      {func(s *signed) { s.Headers["webhook-timestamp"] = at(6 * time.Minute) }, secrets, "too far"},
		"from the end of time": {func(s *signed) { s.Headers["webhook-timestamp"] = "9223372036854775807" }, secrets, "too far"},
		"from before all time": {func(s *signed) { s.Headers["webhook-timestamp"] = "-9223372036854775808" }, secrets, "too far"},
		"at no time":           {func(s *signed) { s.Headers["webhook-timestamp"] = "soon" }, secrets, "missing"},
		"a list with wrong ones": {func(s *signed) {
			s.Headers["webhook-signature"] = "v1 x v1, v1a,AA== " + s.Headers["webhook-signature"]
		}, secrets[:1], ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := send(t, secrets...)
			test.change(&s)
			err := s.verify(test.secrets...)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("verified as %v, want %q", err, test.want)
			}
		})
	}
}

// theirs verifies and signs with the library of the Standard Webhooks project: it reads
// requests as lines of JSON, and answers each with whether it is authentic, and a
// request of its own.
const theirs = `
import { Webhook } from "standardwebhooks";
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const { headers, body, secret } = JSON.parse(line);
  const webhook = new Webhook(secret);
  let fault = "";
  try {
    webhook.verify(body, headers);
  } catch (e) {
    fault = e.message;
  }
  const now = new Date(), text = JSON.stringify({ greeting: "Größe 🚀" }), id = "msg_1";
  console.log(JSON.stringify({
    fault,
    body: text,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
      "webhook-signature": webhook.sign(id, now, text),
    },
  }));
}
`

// TestSignaturesAreThoseOfOthers: a library that is not ours takes our signatures and
// refuses what was changed, and we do so with its own.
func TestSignaturesAreThoseOfOthers(t *testing.T) {
	node := testbed.Node(t, theirs)
	ask := func(s signed) (fault string, own signed) {
		t.Helper()
		if err := json.NewEncoder(node.In).Encode(s); err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Fault string
			signed
		}
		if err := json.NewDecoder(io.LimitReader(node.Out, 1<<20)).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return answer.Fault, answer.signed
	}
	for _, secret := range secrets {
		ours := send(t, secrets...)
		ours.Secret = secret
		fault, own := ask(ours)
		if fault != "" {
			t.Errorf("they say of our signature: %s", fault)
		}
		if err := own.verify(secret); err != nil {
			t.Errorf("we say of their signature: %v", err)
		}
		own.Body += " "
		if err := own.verify(secret); err == nil {
			t.Error("we take their signature for another body")
		}
		ours.Body += " "
		if fault, _ := ask(ours); fault != "No matching signature found" {
			t.Errorf("they say of a changed body: %q", fault)
		}
	}
}
