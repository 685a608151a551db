/** From our HTTP/2 streams to a fetch handler (Hono's): REST, health, metrics, the demo's files. */
import type { Logger } from "pino";
import { ErrorCode } from "../transport/http2/frames.ts";
import type { Http2Stream } from "../transport/http2/http2-stream.ts";
import type { StreamListener } from "./cors.ts";

type FetchHandler = (request: Request) => Response | Promise<Response>;

export function fetchAdapter(fetch: FetchHandler, log: Logger): StreamListener {
  return async (stream, fields) => {
    try {
      const request = toRequest(stream);
      if (!request) {
        stream.respond(400, fields);
        stream.end();
        return;
      }
      const response = await fetch(request);
      stream.respond(response.status, [...response.headers, ...fields]);
      if (response.body && stream.head.method !== "HEAD") {
        for await (const bytes of response.body) {
          if (!stream.send(bytes)) {
            await stream.writable();
          }
          if (stream.isClosed) {
            return;
          }
        }
      }
      stream.end();
    } catch (error) {
      if (!stream.isClosed) {
        log.warn({ err: error, path: stream.head.path }, "a request could not be answered");
        stream.reset(ErrorCode.INTERNAL_ERROR);
      }
    }
  };
}

/** Undefined: what it asks for is no URL. */
function toRequest(stream: Http2Stream): Request | undefined {
  const { method, scheme, authority, path, fields } = stream.head;
  const url = URL.parse(`${scheme}://${authority ?? ""}${path}`);
  if (!url) {
    return undefined;
  }
  const hasBody = method !== "GET" && method !== "HEAD";
  const headers = new Headers(fields as [string, string][]);
  return new Request(url, { method, headers, ...(hasBody && { body: bodyOf(stream), duplex: "half" }) });
}

function bodyOf(stream: Http2Stream): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await stream.next();
      if (done) {
        controller.close();
      } else {
        controller.enqueue(value);
      }
    },
    async cancel() {
      await stream.return();
    },
  });
}
