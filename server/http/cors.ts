/**
 * Which pages of other origins may call (Fetch Standard, "CORS protocol"), for rpcs and REST alike.
 *
 * No cookies are ever looked at, so no credentials are allowed; a token in a header is what counts.
 */
import { cors } from "@connectrpc/connect";
import type { Http2Stream } from "../transport/http2/http2-stream.ts";
import type { RequestListener } from "../transport/one-port-listener.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** Answers a stream. @param fields to be added to the head of the response */
export type StreamListener = (stream: Http2Stream, fields: Fields) => void;

const allowedMethods = [...new Set([...cors.allowedMethods, "PATCH", "DELETE"])].join(", ");
const allowedHeaders = [...cors.allowedHeaders, "Authorization"].join(", ");
const exposedHeaders = [...cors.exposedHeaders, "Retry-After"].join(", ");

/** How long a browser may remember a preflight: two hours, the most that Chromium takes. */
const preflightSeconds = 7_200;

export class Cors {
  readonly #origins: readonly string[];

  /** @param origins the origins allowed, or ["*"] for all */
  constructor(origins: readonly string[]) {
    this.#origins = origins;
  }

  /** Lets `listener` answer what is no preflight. */
  onRequest(listener: RequestListener): RequestListener {
    return (request, response) => {
      const { origin, "access-control-request-method": requestMethod } = request.headers;
      for (const [name, value] of this.#fields(origin)) {
        response.setHeader(name, value);
      }
      const preflight = this.#preflight(request.method, origin, requestMethod);
      if (!preflight) {
        listener(request, response);
        return;
      }
      request.resume();
      response.statusCode = preflight.status;
      for (const [name, value] of preflight.fields) {
        response.setHeader(name, value);
      }
      response.end();
    };
  }

  /** Lets `listener` answer what is no preflight. */
  onStream(listener: StreamListener): (stream: Http2Stream) => void {
    return (stream) => {
      const { head } = stream;
      const origin = head.field("origin");
      const fields = this.#fields(origin);
      const preflight = this.#preflight(head.method, origin, head.field("access-control-request-method"));
      if (!preflight) {
        listener(stream, fields);
        return;
      }
      stream.respond(preflight.status, [...fields, ...preflight.fields]);
      stream.end();
    };
  }

  #isAllowed(origin: string): boolean {
    return this.#origins.includes("*") || this.#origins.includes(origin);
  }

  #fields(origin: string | undefined): Fields {
    if (origin === undefined) {
      return [];
    }
    const varying = ["vary", "Origin"] as const;
    if (!this.#isAllowed(origin)) {
      return [varying];
    }
    return [
      varying,
      ["access-control-allow-origin", this.#origins.includes("*") ? "*" : origin],
      ["access-control-expose-headers", exposedHeaders],
    ];
  }

  /** Undefined: the request is none. */
  #preflight(method: string | undefined, origin: string | undefined, requestMethod: string | undefined) {
    if (method !== "OPTIONS" || origin === undefined || !requestMethod) {
      return undefined;
    }
    if (!this.#isAllowed(origin)) {
      return { status: 403, fields: [] };
    }
    const fields: Fields = [
      ["access-control-allow-methods", allowedMethods],
      ["access-control-allow-headers", allowedHeaders],
      ["access-control-max-age", String(preflightSeconds)],
    ];
    return { status: 204, fields };
  }
}
