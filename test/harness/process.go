package harness

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Await waits up to 30 seconds for something that another goroutine or process
// brings about.
func Await(t testing.TB, what string, there func() bool) {
	t.Helper()
	AwaitWithin(t, 30*time.Second, what, there)
}

// AwaitWithin is [Await] with another limit.
func AwaitWithin(t testing.TB, limit time.Duration, what string, there func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !there() {
		select {
		case <-ctx.Done():
			t.Fatalf("timed out waiting for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// FreeAddress is a loopback address that is not in use.
func FreeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()

	return listener.Addr().String()
}

// Get is the body of what a server of the test answers.
func Get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url) //nolint:gosec,noctx // of this test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()

	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}

	return string(body)
}

// Resident reads a line of a process's status, such as VmRSS or VmHWM, in
// megabytes.
func Resident(t testing.TB, pid int, line string) float64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}

	for l := range strings.Lines(string(data)) {
		if fields := strings.Fields(l); len(fields) > 1 && fields[0] == line+":" {
			kilobytes, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes / 1000
		}
	}

	t.Fatalf("no %s", line)

	return 0
}
