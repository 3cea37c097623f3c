package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/internal/envelope"
)

const (
	// posts is how many requests are made at a time: the driver's default.
	posts = 8
	// originalPart is the part of the records that the original is given: it holds what
	// waits in memory, and slows down under more.
	originalPart  = 10
	webhookSecret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // base64
)

// webhookCase measures how many changes a second are posted to an endpoint, signed and
// one in each request. The endpoint is a process of its own, and counts.
func webhookCase(c config, emit func(line)) (err error) {
	e, err := startEndpoint()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	b := new(bed)
	defer b.Close()
	records := c.records(carryPace)
	ours := func(measure way) func() (pace, error) {
		return func() (pace, error) {
			return inDirectory(c, func(dir string) (pace, error) {
				return measure(dir, "r-", records, webhook.New(webhook.Options{
					URL: e.url + "/in", SigningSecrets: []string{"whsec_" + webhookSecret}, Concurrency: posts,
				}), func(*replicator.Replicator) error { return e.took(records) })
			})
		}
	}
	limit := func() (pace, error) { return postAll(e, deliveries("b-", records)) }
	turns := []turn{
		{"drain", ours(drainJournal)},
		{"limit", limit},
		{"end to end", ours(endToEnd)},
		{"many", ours(endToEndMany)},
		{"limit again", limit},
	}
	probe, ok, err := openOriginal(b, e.original(), 1)
	if err != nil {
		return err
	}
	if ok {
		if err := probe.Close(); err != nil {
			return err
		}
		turns = append(turns, turn{"original", func() (pace, error) { return e.replicateOriginal(max(records/originalPart, 1)) }})
	}
	samples, err := inTurns(c, posts, turns)
	if err != nil {
		return err
	}
	judgeCarried("webhook-drain", "drain", records, samples, emit)
	judgeCarried("webhook-end-to-end", "end to end", records, samples, emit)
	judgeCarried("webhook-many", "many", records, samples, emit)
	judgeOriginal("webhook", samples, emit)
	again("webhook", records, samples, emit)
	return nil
}

// postAll marshals, signs and posts the same bodies, as many at a time, and does nothing
// else.
func postAll(e *endpoint, all []cdc.Delivery) (pace, error) {
	key, err := base64.StdEncoding.DecodeString(webhookSecret)
	if err != nil {
		return pace{}, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: posts}}
	defer client.CloseIdleConnections()
	s := beginStretch()
	err = share(posts, len(all), func(i int) error {
		body, err := envelope.Message.Append(nil, all[i], "replicator")
		if err != nil {
			return err
		}
		req, err := http.NewRequest(http.MethodPost, e.url+"/in", bytes.NewReader(body))
		if err != nil {
			return err
		}
		id, stamp := all[i].ChangeID.String(), strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, id+"."+stamp+".")
		mac.Write(body)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Webhook-Id", id)
		req.Header.Set("Webhook-Timestamp", stamp)
		req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return errors.Join(err, res.Body.Close())
	})
	err = errors.Join(err, e.took(len(all)))
	return s.pace(len(all)), err
}

// endpoint is where webhooks go: this program in another process.
type endpoint struct {
	url   string
	cmd   *exec.Cmd
	input io.Closer
}

// endpointArg makes this program an endpoint.
const endpointArg = "webhook-endpoint"

func startEndpoint() (*endpoint, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, endpointArg)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := cmp.Or(err1, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	e := &endpoint{cmd: cmd, input: in}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the endpoint did not start: %w", err), e.Close())
	}
	e.url = strings.TrimSpace(url)
	return e, nil
}

// Close ends the process, which ends when its input does.
func (e *endpoint) Close() error { return errors.Join(e.input.Close(), e.cmd.Wait()) }

// took returns when so many requests were taken in since it last did.
func (e *endpoint) took(n int) error {
	res, err := http.Get(fmt.Sprintf("%s/count?n=%d", e.url, n))
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (e *endpoint) original() originalDestination {
	return originalDestination{Driver: "webhook", Resources: []string{"orders"}, Config: map[string]any{"url": e.url + "/in", "timeout": 60_000}}
}

// replicateOriginal measures until all has arrived, whatever the plugin says.
func (e *endpoint) replicateOriginal(records int) (p pace, err error) {
	b := new(bed)
	defer b.Close()
	o, _, err := openOriginal(b, e.original(), records)
	if err != nil {
		return pace{}, err
	}
	s := beginStretch()
	err = errors.Join(o.begin(), e.took(records))
	return s.pace(records), errors.Join(err, o.Close())
}

// serveEndpoint is the other process. It ends with its input.
func serveEndpoint(in io.Reader, out io.Writer) error {
	var mu sync.Mutex
	come, taken := sync.NewCond(&mu), 0
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { // the original adds a slash to the path
		io.Copy(io.Discard, r.Body)
		mu.Lock()
		taken++
		mu.Unlock()
		come.Broadcast()
	})
	mux.HandleFunc("/count", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		mu.Lock()
		defer mu.Unlock()
		for taken < n {
			come.Wait()
		}
		taken = 0
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) })
	fmt.Fprintln(out, "http://"+listener.Addr().String())
	_, err = io.Copy(io.Discard, in)
	err = errors.Join(err, server.Shutdown(context.Background()))
	serving.Wait()
	return err
}
