"""A Python client on gRPC's C core, generated from proto/: joins a room on the two-way stream.

    python chat_client.py HOST:PORT ROOM NAME        (PYTHONPATH: the generated code)

Prints every answer of the stream as one line of JSON. Every line of standard input is sent as a message; the end of
standard input ends the stream.
"""

import json
import queue
import sys
import threading

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2  # noqa: F401  The details of refusals are printed by their types.

from chat.v1 import chat_pb2, chat_pb2_grpc, message_pb2


def main(address: str, room_id: str, name: str) -> None:
    commands: queue.Queue = queue.Queue(maxsize=1000)
    author = message_pb2.Author(user_id="python", name=name)
    commands.put(chat_pb2.ChatRequest(join=chat_pb2.JoinCommand(room_id=room_id, author=author)))

    def read_lines() -> None:
        for line in sys.stdin:
            send = chat_pb2.SendCommand(room_id=room_id, text=line.rstrip("\n"))
            commands.put(chat_pb2.ChatRequest(send=send))
        commands.put(None)

    threading.Thread(target=read_lines, daemon=True).start()
    with grpc.insecure_channel(address) as channel:
        answers = chat_pb2_grpc.ChatServiceStub(channel).Chat(iter(commands.get, None))
        for answer in answers:
            print(json.dumps(json_format.MessageToDict(answer), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
