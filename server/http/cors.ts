/**
 * Which pages of other origins may call (Fetch Standard, "CORS protocol"), for rpcs and REST alike.
 *
 * No cookies are ever looked at, so no credentials are allowed; a token in a header is what counts.
 */
import { cors } from "@connectrpc/connect";
import type { HttpRequest, HttpResponse, RequestListener } from "../transport/one-port-listener.ts";

const allowedMethods = [...new Set([...cors.allowedMethods, "PATCH", "DELETE"])].join(", ");
const allowedHeaders = [...cors.allowedHeaders, "Authorization"].join(", ");
const exposedHeaders = [...cors.exposedHeaders, "Retry-After"].join(", ");

/** How long a browser may remember a preflight: two hours, the most that Chromium takes. */
const preflightSeconds = 7_200;

/** @param origins the origins allowed, or ["*"] for all */
export function withCors(origins: readonly string[], listener: RequestListener): RequestListener {
  const isAllowed = (origin: string) => origins.includes("*") || origins.includes(origin);
  return (request, response) => {
    const { origin } = request.headers;
    if (origin !== undefined) {
      response.setHeader("vary", "Origin");
      if (isAllowed(origin)) {
        response.setHeader("access-control-allow-origin", origins.includes("*") ? "*" : origin);
        response.setHeader("access-control-expose-headers", exposedHeaders);
      }
      if (request.method === "OPTIONS" && request.headers["access-control-request-method"]) {
        answerPreflight(request, response, isAllowed(origin));
        return;
      }
    }
    listener(request, response);
  };
}

function answerPreflight(request: HttpRequest, response: HttpResponse, isAllowed: boolean): void {
  request.resume();
  response.statusCode = isAllowed ? 204 : 403;
  if (isAllowed) {
    response.setHeader("access-control-allow-methods", allowedMethods);
    response.setHeader("access-control-allow-headers", allowedHeaders);
    response.setHeader("access-control-max-age", preflightSeconds);
  }
  (response as { end(): void }).end();
}
