package onegate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// watchTimeout bounds one long poll. It is longer than servers hold one.
const watchTimeout = 5 * time.Minute

// watch prints the document of the VM, or of another one, or of the service or
// router as one line of JSON, and again whenever it has changed, until it is
// interrupted.
//
// A server that can tell of changes gives each document a revision, in the ETag
// header; GET with watch=REVISION is then answered once there is another. One
// that cannot is asked again and again, up to a minute apart.
func (a *app) watch(ctx context.Context, o *options) error {
	w := &watcher{path: "/" + o.word(1)}
	switch id := o.word(2); {
	case o.word(1) == "":
		w.path = "/vm"
	case o.word(1) == "vm" && id != "":
		w.path = "/vms/" + url.PathEscape(id)
	case o.word(1) == "service":
		w.form = extended(o)
	case o.word(1) != "vm" && o.word(1) != "vrouter":
		return unsupported(o)
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	c.timeout = max(c.timeout, watchTimeout)
	w.client = c
	faults, idle := backoff{jitter: a.jitter}, backoff{jitter: a.jitter}
	for {
		got, err := w.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && w.last == nil && final(err):
			return err
		case err != nil:
			if final(err) {
				w.revision = "" // perhaps the server has forgotten it
			}
			fmt.Fprintf(a.stderr, "watch: %v\n", err)
			if a.sleep(ctx, faults.failed(err)) != nil {
				return nil
			}
			continue
		}
		faults.succeeded()
		if got.changed {
			if _, err := a.stdout.Write(w.last); err != nil {
				return err
			}
		}
		if got.changed || got.moved || got.held {
			idle.succeeded()
		}
		// The server does the waiting if it knows revisions, and if it did: an
		// answer without news that came at once would be followed by another.
		if w.revision != "" && (got.changed || got.held) {
			continue
		}
		if a.sleep(ctx, idle.failed(nil)) != nil {
			return nil
		}
	}
}

// final tells whether trying again is useless: the gate refused the request
// itself, not just now.
func final(err error) bool {
	if _, ok := errors.AsType[*failure](err); ok {
		return true
	}
	s, ok := errors.AsType[*statusError](err)
	return ok && s.status >= 400 && s.status < 500 && s.status != http.StatusTooManyRequests && s.status != http.StatusRequestTimeout
}

// watcher is where a watch has got to.
type watcher struct {
	client   *client
	path     string
	form     string // body of the request
	last     []byte // the last document, as a line; nil before the first
	revision string // of the last one, "" if the server knows none
}

// news is what one poll found.
type news struct {
	changed bool // the document differs from the one before
	moved   bool // its revision does
	held    bool // the server took its time
}

// poll asks once.
func (w *watcher) poll(ctx context.Context) (got news, err error) {
	path := w.path
	if w.revision != "" {
		path += "?watch=" + url.QueryEscape(w.revision)
	}
	contentType := ""
	if w.form != "" {
		contentType = typeForm
	}
	began := w.client.now()
	res, err := w.client.do(ctx, http.MethodGet, path, contentType, w.form)
	got.held = w.revision != "" && w.client.now().Sub(began) >= firstWait
	if s, ok := errors.AsType[*statusError](err); ok && s.status == http.StatusNotModified {
		return got, nil
	}
	if err != nil || res.status == http.StatusNoContent {
		return got, err
	}
	doc, err := parseJSON(res.body)
	if err != nil {
		return got, fmt.Errorf("the server's answer: %w", err)
	}
	var line bytes.Buffer
	doc.compact(&line)
	line.WriteByte('\n')
	revision := unquote(res.header.Get("ETag"))
	got.changed = !bytes.Equal(line.Bytes(), w.last)
	got.moved = revision != w.revision
	w.last, w.revision = line.Bytes(), revision
	return got, nil
}

// unquote returns the revision in an ETag: "5" and W/"5" both mean 5.
func unquote(etag string) string {
	etag = strings.TrimPrefix(strings.TrimSpace(etag), "W/")
	return strings.Trim(etag, `"`)
}
