/** What a gRPC client is answered that calls a method which does not exist. */
import { Code } from "@connectrpc/connect";

/**
 * The head of UNIMPLEMENTED, a response of status 200 without a body ("Trailers-Only" of gRPC over HTTP/2; gRPC-Web takes
 * it from the head likewise). Undefined: the request is not gRPC's.
 */
export function unknownRpcFields(
  contentType: string | undefined,
  path: string,
): readonly (readonly [name: string, value: string])[] | undefined {
  if (!contentType?.startsWith("application/grpc")) {
    return undefined;
  }
  return [
    ["content-type", contentType],
    ["grpc-status", String(Code.Unimplemented)],
    ["grpc-message", encodeURIComponent(`there is no method ${path}`)],
  ];
}
