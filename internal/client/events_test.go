package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/client"
)

func TestEvents(t *testing.T) {
	var asked http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header
		switch r.URL.Path {
		case "/refused":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, "no")
		case "/long":
			fmt.Fprint(w, "data: "+strings.Repeat("x", 2<<20)+"\n\n")
		case "/open":
			fmt.Fprint(w, ":\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			fmt.Fprint(w, ":\n\nid: 3\nevent: state\ndata: {\"a\":1}\n\nretry: 5\ndata:x\ndata: y\n\nid: 9\n\nevent: cut off\ndata: z\n")
		}
	}))
	t.Cleanup(s.Close)
	f, err := client.NewFlow(client.Config{Endpoint: s.URL, Session: "ana:pw", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var got []client.Event
	take := func(e client.Event) error {
		got = append(got, e)
		return nil
	}
	if err := f.Events(t.Context(), "/service/7/events", "2", take); err != nil {
		t.Fatal(err)
	}
	want := []client.Event{{ID: "3", Name: "state", Data: []byte(`{"a":1}`)}, {Data: []byte("x\ny")}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if asked.Get("Accept") != "text/event-stream" || asked.Get("Last-Event-ID") != "2" || asked.Get("Authorization") == "" {
		t.Errorf("asked with %v", asked)
	}
	stop := errors.New("enough")
	if err := f.Events(t.Context(), "/", "", func(client.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	var refusal *client.Error
	if err := f.Events(t.Context(), "/refused", "", take); !errors.As(err, &refusal) || refusal.Code != 401 || refusal.Msg != "no" {
		t.Errorf("refused: %v", err)
	}
	var conn *client.ConnError
	if err := f.Events(t.Context(), "/long", "", take); !errors.As(err, &conn) {
		t.Errorf("an endless line: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if err := f.Events(ctx, "/open", "", take); !errors.As(err, &conn) || !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
