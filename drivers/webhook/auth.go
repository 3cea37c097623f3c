package webhook

import (
	"cmp"
	"encoding/base64"
)

// Auth is a credential sent with every request. Made by [Bearer], [Basic] and
// [APIKey]. It does not show itself when it is printed.
type Auth struct {
	header, value string
	secret        string // the part of value that must stay hidden
	fault         string
}

// Bearer is the header "Authorization: Bearer token".
func Bearer(token string) Auth {
	return Auth{"Authorization", "Bearer " + token, token, missing("token", token)}
}

// Basic is HTTP basic authentication.
func Basic(username, password string) Auth {
	text := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	return Auth{"Authorization", "Basic " + text, username + ":" + password, missing("username", username)}
}

// APIKey is a key in a header of the given name, such as X-Api-Key.
func APIKey(header, key string) Auth {
	return Auth{header, key, key, cmp.Or(missing("header", header), missing("key", key))}
}

func missing(what, value string) string {
	if value == "" {
		return what + " is empty; is an environment variable not set?"
	}
	return ""
}

// String hides the credential.
func (Auth) String() string { return "webhook.Auth" }

// GoString hides the credential.
func (Auth) GoString() string { return "webhook.Auth{}" }
