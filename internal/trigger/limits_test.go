package trigger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// sender is one connection to the webhooks.
type sender struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// connect opens a connection from an address of this machine.
func connect(t *testing.T, address, from string) *sender {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	return &sender{t, conn, bufio.NewReader(conn)}
}

// begin sends the header of a message of a type whose body has a size. The sender
// asks to be told when the body is read.
func (s *sender) begin(query string, size int, headers ...string) {
	s.t.Helper()
	headers = append([]string{"POST /webhook?" + query + " HTTP/1.1", "Host: x", "Expect: 100-continue",
		fmt.Sprintf("Content-Length: %d", size)}, headers...)
	if _, err := io.WriteString(s.conn, strings.Join(headers, "\r\n")+"\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
}

// status reads the next response: 100 once the body is read, and else the result.
func (s *sender) status() int {
	s.t.Helper()
	response, err := http.ReadResponse(s.in, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != http.StatusContinue {
		_ = response.Body.Close()
	}

	return response.StatusCode
}

func (w *world) address() string { return strings.TrimPrefix(w.server.URL, "http://") }

// TestBodiesOfStrangers checks that nothing of a body is read unless its sender has
// proved who it is, or its type signs bodies.
func TestBodiesOfStrangers(t *testing.T) {
	w := newWorld(t)
	w.serve()
	signature := "X-Hub-Signature-256: sha256=" + strings.Repeat("0", 64)
	for _, c := range []struct {
		what, query, header string
		first               int
	}{
		{"no secret", "type=docker.io", "A: b", 401},
		{"a wrong secret", "type=docker.io&secret=x", "A: b", 401},
		{"a wrong secret in a header", "type=harbor", "Authorization: x", 401},
		{"a wrong secret of two places", "type=cloudevents", "X-Webhook-Secret: x", 401},
		{"no signature", "type=ghcr.io", "A: b", 401},
		{"what is no signature", "type=ghcr.io", "X-Hub-Signature-256: sha256=x", 401},
		{"another signature", "type=github", "X-Hub-Signature-256: sha1=" + strings.Repeat("0", 40), 401},
		{"a type that is not enabled", "type=pubsub", "A: b", 404},
		{"a signature that may be right", "type=ghcr.io", signature, 100},
		{"the secret", "type=harbor", "Authorization: " + secretText, 100},
	} {
		s := connect(t, w.address(), "127.0.0.1")
		s.begin(c.query, 100, c.header)
		if got := s.status(); got != c.first {
			t.Errorf("%s: %d, want %d", c.what, got, c.first)
		}
	}

	if told, unknown := w.totals("unknown unknown"); told != 0 || unknown != 1 {
		t.Errorf("told %d, unknown %d", told, unknown)
	}
}

// TestFloodOfOneType fills the places of one type with messages that never end:
// further ones of the type are refused at once, other types are received as ever, and
// so is the type itself when the flood is over.
func TestFloodOfOneType(t *testing.T) {
	w := newWorld(t)
	w.serve()
	lane := w.webhooks.lanes["ghcr.io"]
	begin := func() *sender {
		s := connect(t, w.address(), "127.0.0.1")
		s.begin("type=ghcr.io", 100, "X-Hub-Signature-256: sha256="+strings.Repeat("0", 64))
		return s
	}

	var flood []*sender
	for len(flood) < maxReading {
		flood = append(flood, begin())
		if got := flood[len(flood)-1].status(); got != http.StatusContinue {
			t.Fatalf("message %d: %d", len(flood), got)
		}
	}
	for len(flood) < maxReading+maxWaiting {
		flood = append(flood, begin())
	}
	await(t, "the places to be taken", func() bool { return len(lane.admitted) == cap(lane.admitted) })

	for range 3 {
		if got := begin().status(); got != http.StatusServiceUnavailable {
			t.Errorf("one more: %d", got)
		}
	}
	for _, kind := range Types() {
		if kind == "ghcr.io" {
			continue
		}
		if status, answer := w.post(webhookVector(t, kind), secretText); status != http.StatusOK {
			t.Errorf("%s: %d %q", kind, status, answer)
		}
	}
	if told, busy := w.totals("ghcr.io busy"); told != len(Types())-1 || busy < 3 {
		t.Errorf("told %d, busy %d", told, busy)
	}

	for _, s := range flood {
		_ = s.conn.Close()
	}
	await(t, "the places to be free", func() bool { return len(lane.admitted) == 0 && len(lane.reading) == 0 })
	if status, answer := w.post(webhookVector(t, "ghcr.io"), secretText); status != http.StatusOK {
		t.Errorf("after the flood: %d %q", status, answer)
	}
}

// TestConnectionsOfOneAddress checks that one address has a bounded number of
// connections, and that others are served when it has all of them.
func TestConnectionsOfOneAddress(t *testing.T) {
	w := newWorld(t)
	w.serve()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(w.webhooks)
	go func() { _ = server.Serve(limit(at, 6, 3)) }()
	t.Cleanup(func() { _ = server.Close() })
	address := at.Addr().String()
	answered := func(from string) (*sender, bool) {
		s := connect(t, address, from)
		s.begin("type=nothing", 0)
		_, err := http.ReadResponse(s.in, nil)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !isReset(err) {
			t.Fatal(err)
		}
		return s, err == nil
	}

	var open []*sender
	for i := range 5 {
		s, ok := answered("127.0.0.1")
		if ok != (i < 3) {
			t.Errorf("connection %d of one address: %t", i+1, ok)
		}
		open = append(open, s)
	}
	if _, ok := answered("127.0.0.2"); !ok {
		t.Error("another address is not served")
	}

	_ = open[0].conn.Close()
	await(t, "a place for the address", func() bool { _, ok := answered("127.0.0.1"); return ok })
}

// TestNetworks checks what counts as one address.
func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:0:1::7": "2001:db8:0:1::/64",
	} {
		if got := network(&net.TCPAddr{IP: net.ParseIP(text)}).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestServerGivesUp checks that no sender can hold a connection for ever.
func TestServerGivesUp(t *testing.T) {
	s := NewServer(nil)
	for what, limit := range map[string]time.Duration{
		"header": s.ReadHeaderTimeout, "body": s.ReadTimeout, "answer": s.WriteTimeout, "next message": s.IdleTimeout,
	} {
		if limit <= 0 || limit > 2*time.Minute {
			t.Errorf("%s: %s", what, limit)
		}
	}
	if s.WriteTimeout < s.ReadTimeout+laneWait || s.MaxHeaderBytes > 64<<10 || s.MaxHeaderBytes == 0 {
		t.Errorf("%s, %d bytes", s.WriteTimeout, s.MaxHeaderBytes)
	}
}

func isReset(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) || errors.Is(err, os.ErrDeadlineExceeded)
}

// await waits for what another goroutine brings about.
func await(t *testing.T, what string, there func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !there(); {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
