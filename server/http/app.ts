/** What the port answers besides rpcs: REST, health, metrics, the demo's files. */
import type { Transport } from "@connectrpc/connect";
import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import type { Metrics } from "../metrics.ts";
import type { Readiness } from "../readiness.ts";
import type { DemoFiles } from "./demo-files.ts";
import { restRoutes } from "./rest.ts";

export interface HttpParts {
  /** Calls the services of this process. */
  transport: Transport;
  readiness: Readiness;
  metrics: Metrics;
  /** Undefined: no demo is served. */
  demo: DemoFiles | undefined;
  requestBytesMax: number;
}

/** A year: the names change with the content. */
const hashedMaxAgeSeconds = 31_536_000;

export function httpApp({ transport, readiness, metrics, demo, requestBytesMax }: HttpParts): Hono {
  const app = new Hono();
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", (context) => (readiness.isReady ? context.text("ready\n") : context.text("not ready\n", 503)));
  app.get("/metrics", async (context) => {
    context.header("content-type", metrics.contentType);
    return context.body(await metrics.text());
  });
  app.route("/api/v1", restRoutes(transport, requestBytesMax));
  if (demo) {
    app.use(
      secureHeaders({
        contentSecurityPolicy: {
          defaultSrc: ["'none'"],
          scriptSrc: ["'self'"],
          styleSrc: ["'self'"],
          imgSrc: ["'self'", "data:"],
          connectSrc: ["'self'"],
          baseUri: ["'none'"],
          formAction: ["'none'"],
          frameAncestors: ["'none'"],
          requireTrustedTypesFor: ["'script'"],
          trustedTypes: ["'none'"],
        },
        strictTransportSecurity: false,
      }),
    );
    app.get("*", (context, next) => {
      const file = demo.get(context.req.path);
      if (!file) {
        return next();
      }
      const caching = file.isHashed ? `public, max-age=${hashedMaxAgeSeconds}, immutable` : "no-cache";
      return context.body(file.body, 200, { "content-type": file.contentType, "cache-control": caching });
    });
  }
  app.notFound((context) => context.json({ code: "NotFound", reason: "", message: "there is nothing here" }, 404));
  return app;
}
