// The connect-go server of the comparison: one server stream over HTTP/1.1, each reader a goroutine with a queue.
//
//	connect BYTES   prints its two ports as JSON
package main

import (
	"context"
	"log"
	"net"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"streaming-chat/bench/peers/fanout"
)

const procedure = "/bench.v1.Bench/Subscribe"

var readers = fanout.New[*wrapperspb.BytesValue]()

func subscribe(
	ctx context.Context,
	_ *connect.Request[emptypb.Empty],
	stream *connect.ServerStream[wrapperspb.BytesValue],
) error {
	reader, leave := readers.Enter()
	defer leave()
	// The reader is told that it is in.
	if err := stream.Send(wrapperspb.Bytes([]byte("+"))); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reader.Ready:
			for _, each := range reader.Take() {
				if err := stream.Send(each); err != nil {
					return err
				}
			}
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(procedure, connect.NewServerStreamHandler(procedure, subscribe))
	go func() { log.Fatal(http.Serve(listener, mux)) }()
	if err := fanout.Serve(listener, func(data []byte) { readers.Publish(wrapperspb.Bytes(data)) }); err != nil {
		log.Fatal(err)
	}
}
