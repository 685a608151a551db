/**
 * The command-line clients: grpcurl, buf curl and curl. Each function gives a command line; run it to its end with
 * `runCommand`, or as a `ClientProcess` for as long as a stream is open.
 */
import { resolve } from "node:path";
import { goToolPath, grpcurl as grpcurlTool } from "../setup/tools.ts";

const root = resolve(import.meta.dir, "../..");

/** A server that a client calls. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * @param args verbs and methods, as ["list"], ["chat.v1.ChatService/Subscribe"]
 * @param options flags before the address, as ["-d", "{}"]
 */
export function grpcurl({ host, port }: Address, args: readonly string[], options: readonly string[] = []): string[] {
  return [goToolPath(grpcurlTool), "-plaintext", ...options, `${host}:${port}`, ...args];
}

/** What `buf curl --protocol` takes. */
export type BufCurlProtocol = "grpc" | "grpcweb" | "connect";

/** gRPC goes over HTTP/2 and asks the server for the schema, by reflection; the others over HTTP/1.1, with proto/. */
export function bufCurl(
  { host, port }: Address,
  protocol: BufCurlProtocol,
  method: string,
  options: readonly string[] = [],
): string[] {
  const http = protocol === "grpc" ? ["--http2-prior-knowledge"] : ["--schema", resolve(root, "proto")];
  const url = `http://${host}:${port}/${method}`;
  return [bufProgram(), "curl", "--protocol", protocol, ...http, ...options, url];
}

/** The program itself and not the script that starts it: a stream's client must end when it is killed. */
function bufProgram(): string {
  return resolve(root, `node_modules/@bufbuild/buf-${process.platform}-${process.arch}/bin/buf`);
}
