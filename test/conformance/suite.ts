/**
 * The messages of the Connect conformance suite, as far as a server meets them.
 *
 * Their descriptors come from the suite's Go module at set-up; no code is generated from them, so the shapes that the
 * server reads and writes are named here (connectrpc/conformance/v1/service.proto, server_compat.proto).
 */

import { readFileSync } from "node:fs";
import { createFileRegistry, type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import { type Any, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { conformanceDescriptorsPath } from "../setup/tools.ts";

/** Every type of the suite: JSON needs it for google.protobuf.Any. */
export const suiteTypes = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, readFileSync(conformanceDescriptorsPath())),
);

/** @throws {Error} if the suite has no such message */
export function suiteMessage(name: string): DescMessage {
  const found = suiteTypes.getMessage(`connectrpc.conformance.v1.${name}`);
  if (!found) {
    throw new Error(`the conformance suite has no message ${name}`);
  }
  return found;
}

/** What the runner asks for, on standard input. */
export interface ServerCompatRequest extends Message {
  useTls: boolean;
  clientTlsCert: Uint8Array;
  /** 0: none. */
  messageReceiveLimit: number;
  serverCreds?: { cert: Uint8Array; key: Uint8Array };
}

export interface Header {
  name: string;
  value: string[];
}

/** An error that a request asks for. */
export interface RequestedError {
  code: number;
  message?: string;
  details: Any[];
}

export interface UnaryResponseDefinition {
  responseHeaders: Header[];
  responseTrailers: Header[];
  responseDelayMs: number;
  response:
    | { case: "responseData"; value: Uint8Array }
    | { case: "error"; value: RequestedError }
    | { case: undefined; value?: undefined };
}

export interface StreamResponseDefinition {
  responseHeaders: Header[];
  responseTrailers: Header[];
  responseDelayMs: number;
  responseData: Uint8Array[];
  error?: RequestedError;
}

export interface UnaryRequest extends Message {
  responseDefinition?: UnaryResponseDefinition;
}

export interface StreamRequest extends Message {
  responseDefinition?: StreamResponseDefinition;
  /** Only on BidiStreamRequest. */
  fullDuplex?: boolean;
}

/** What a response says about the request (ConformancePayload.RequestInfo), to be made with `create`. */
export interface RequestInfo {
  requestHeaders?: Header[];
  timeoutMs?: bigint;
  requests: Any[];
  connectGetInfo?: { queryParams: Header[] };
}
