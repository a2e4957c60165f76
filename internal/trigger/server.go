package trigger

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// How many connections are open at a time: in total, and from one address. Behind
// an ingress controller, all connections have its address; each type of message
// holds at most maxReading + maxWaiting of them.
const (
	maxConnections           = 1024
	maxConnectionsPerAddress = 320
)

// NewServer returns a server for a handler of webhooks, which gives slow senders up.
// Serve it on a listener of [Limit].
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      40 * time.Second, // the time to read, to wait for a place and to check a token
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// Limit returns a listener that accepts a bounded number of connections. Further ones
// wait until one is closed, and are closed at once if their address has too many.
func Limit(listener net.Listener) net.Listener {
	return limit(listener, maxConnections, maxConnectionsPerAddress)
}

func limit(listener net.Listener, total, each int) net.Listener {
	return netutil.LimitListener(&perAddress{Listener: listener, most: each, open: map[netip.Prefix]int{}}, total)
}

// perAddress closes connections of addresses that have too many.
type perAddress struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// Accept returns the next connection of an address that may have one more.
func (l *perAddress) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}

		from := network(conn.RemoteAddr())
		if l.add(from) {
			return &counted{Conn: conn, close: sync.OnceFunc(func() { l.remove(from) })}, nil
		}
		_ = conn.Close()
	}
}

func (l *perAddress) add(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.open[from] >= l.most {
		return false
	}
	l.open[from]++

	return true
}

func (l *perAddress) remove(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	close func()
}

// Close closes the connection.
func (c *counted) Close() error {
	c.close()
	return c.Conn.Close()
}

// network returns what has one address: of IPv6, one subscriber has a whole /64.
func network(address net.Addr) netip.Prefix {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}

	a := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	prefix, _ := a.Prefix(bits) // the number of bits is right

	return prefix
}
