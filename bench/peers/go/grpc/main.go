// The grpc-go server of the comparison: one server stream, each reader a goroutine with a queue; each message is encoded
// once (grpc.PreparedMsg) and sent to all.
//
//	grpc BYTES   prints its two ports as JSON
package main

import (
	"log"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"streaming-chat/bench/peers/fanout"
)

// A message on its way: encoded by the first stream that sends it.
type message struct {
	data     []byte
	once     sync.Once
	prepared grpc.PreparedMsg
	err      error
}

func (m *message) on(stream grpc.ServerStream) (*grpc.PreparedMsg, error) {
	m.once.Do(func() { m.err = m.prepared.Encode(stream, wrapperspb.Bytes(m.data)) })
	return &m.prepared, m.err
}

var readers = fanout.New[*message]()

func subscribe(_ any, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
		return err
	}
	reader, leave := readers.Enter()
	defer leave()
	// The reader is told that it is in.
	if err := stream.SendMsg(wrapperspb.Bytes([]byte("+"))); err != nil {
		return err
	}
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case <-reader.Ready:
			for _, each := range reader.Take() {
				prepared, err := each.on(stream)
				if err != nil {
					return err
				}
				if err := stream.SendMsg(prepared); err != nil {
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
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.v1.Bench",
		HandlerType: (*any)(nil),
		Streams:     []grpc.StreamDesc{{StreamName: "Subscribe", Handler: subscribe, ServerStreams: true}},
	}, nil)
	go func() { log.Fatal(server.Serve(listener)) }()
	if err := fanout.Serve(listener, func(data []byte) { readers.Publish(&message{data: data}) }); err != nil {
		log.Fatal(err)
	}
}
