/**
 * Runs h2spec, the conformance suite of HTTP/2 (RFC 9113) and HPACK (RFC 7541), against the gateway's listener, and ends
 * with its exit code. Over TLS: in cleartext, what does not begin with HTTP/2's preface is HTTP/1.1 by intention, and one
 * of its cases wants it refused.
 */
import { OnePortListener } from "../../server/transport/one-port-listener.ts";
import { selfSignedCertificate } from "../harness/certificate.ts";
import { goToolPath, h2spec } from "../setup/tools.ts";

const listener = new OnePortListener({
  host: "127.0.0.1",
  port: 0,
  tls: selfSignedCertificate(),
  limits: {
    connectionsMax: 1_000,
    openingTimeoutMs: 10_000,
    requestBodyTimeoutMs: 10_000,
    idleTimeoutMs: 60_000,
    headerBytesMax: 16_384,
    streamsPerConnectionMax: 100,
  },
  isLongUpload: () => false,
  onRequest: (_request, response) => response.end(),
  onStream: (stream) => {
    const answer = () => {
      stream.respond(200, [["content-type", "text/plain"]]);
      stream.send(Buffer.from("hello"));
      stream.end();
    };
    const read = async () => {
      while ((await stream.next()).done !== true) {
        // Only the end counts.
      }
    };
    read().then(answer, () => {});
  },
});
const { port } = await listener.listen();
/** For one answer, in seconds; a small machine may be busy. */
const timeout = "5";
const suite = Bun.spawn([goToolPath(h2spec), "-h", "127.0.0.1", "-p", String(port), "-t", "-k", "-o", timeout], {
  stdio: ["ignore", "inherit", "inherit"],
});
const code = await suite.exited;
listener.close();
process.exit(code);
