package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// secretPrefix marks a symmetric secret of Standard Webhooks.
const secretPrefix = "whsec_"

// sign sets the headers of Standard Webhooks. The id is the change's, so that a
// receiver drops repeats by it; the time is that of the attempt, since receivers
// refuse what is some minutes old. Without secrets there is no signature.
func (d *Driver) sign(h http.Header, id string, now time.Time, body []byte) {
	seconds := strconv.FormatInt(now.Unix(), 10)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", seconds)
	if len(d.keys) == 0 {
		return
	}
	signatures := make([]string, len(d.keys))
	for i, key := range d.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + seconds + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	h.Set("webhook-signature", strings.Join(signatures, " "))
}
