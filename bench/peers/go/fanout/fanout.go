// Package fanout is what both Go servers of the comparison share: readers with a queue each, and the publisher's socket.
package fanout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// stampBytes are what the publisher sends for each message (bench/wire/publication.ts).
const stampBytes = 24

// queueMax bounds what waits for one reader; who is further behind misses messages, which its check will find.
const queueMax = 100_000

// Reader has what one subscriber is still to be sent.
type Reader[T any] struct {
	mutex   sync.Mutex
	waiting []T
	// Holds one token where something waits.
	Ready chan struct{}
}

// Take gives everything that waits, in order.
func (r *Reader[T]) Take() []T {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	taken := r.waiting
	r.waiting = nil
	return taken
}

// Readers are all subscribers of the one room there is.
type Readers[T any] struct {
	mutex sync.RWMutex
	all   map[*Reader[T]]struct{}
}

// New gives an empty room.
func New[T any]() *Readers[T] {
	return &Readers[T]{all: map[*Reader[T]]struct{}{}}
}

// Enter adds a reader; the function takes it out again.
func (r *Readers[T]) Enter() (*Reader[T], func()) {
	reader := &Reader[T]{Ready: make(chan struct{}, 1)}
	r.mutex.Lock()
	r.all[reader] = struct{}{}
	r.mutex.Unlock()
	return reader, func() {
		r.mutex.Lock()
		delete(r.all, reader)
		r.mutex.Unlock()
	}
}

// Publish hands one message to every reader's queue.
func (r *Readers[T]) Publish(message T) {
	r.mutex.RLock()
	defer r.mutex.RUnlock()
	for reader := range r.all {
		reader.mutex.Lock()
		if len(reader.waiting) < queueMax {
			reader.waiting = append(reader.waiting, message)
		}
		reader.mutex.Unlock()
		select {
		case reader.Ready <- struct{}{}:
		default:
		}
	}
}

// Serve listens for the publisher, prints both ports as JSON and publishes until the publisher goes, which ends it well.
func Serve(readers net.Listener, publish func(message []byte)) error {
	messageBytes, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return fmt.Errorf("the length of a message: %w", err)
	}
	publishers, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := func(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }
	ports, err := json.Marshal(map[string]int{"readersPort": port(readers), "publisherPort": port(publishers)})
	if err != nil {
		return err
	}
	fmt.Println(string(ports))
	publisher, err := publishers.Accept()
	if err != nil {
		return err
	}
	padding := strings.Repeat("x", messageBytes-stampBytes-1)
	stamp := make([]byte, stampBytes)
	for {
		if _, err := io.ReadFull(publisher, stamp); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		publish([]byte("@" + string(stamp) + padding))
	}
}
