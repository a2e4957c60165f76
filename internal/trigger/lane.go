package trigger

import (
	"context"
	"time"
)

// How many messages of one type are received at a time: some are read, some wait
// for that, and all others are refused at once, so that they hold no connection.
const (
	maxReading = 8
	maxWaiting = 24
	// laneWait is how long a message waits to be read.
	laneWait = 5 * time.Second
)

// lane has the places for the messages of one type.
type lane struct {
	admitted chan struct{} // read or waiting
	reading  chan struct{}
}

func newLane() *lane {
	return &lane{
		admitted: make(chan struct{}, maxReading+maxWaiting),
		reading:  make(chan struct{}, maxReading),
	}
}

// enter waits for a place. It reports false if there are too many messages.
func (l *lane) enter(ctx context.Context) (leave func(), ok bool) {
	select {
	case l.admitted <- struct{}{}:
	default:
		return nil, false
	}

	ctx, cancel := context.WithTimeout(ctx, laneWait)
	defer cancel()
	select {
	case l.reading <- struct{}{}:
		return func() { <-l.reading; <-l.admitted }, true
	case <-ctx.Done():
		<-l.admitted
		return nil, false
	}
}
