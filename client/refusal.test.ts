import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { errorOfStatus, isNetworkFailure, refusalOf } from "./refusal.ts";

const errorInfo = create(ErrorInfoSchema, { domain: "streaming-chat", reason: "SLOW_MODE" });
const retryInfo = create(RetryInfoSchema, { retryDelay: durationFromMs(1_500) });

describe("a refusal", () => {
  test("tells the gateway's reason and delay", () => {
    const error = new ConnectError("too fast", Code.ResourceExhausted, undefined, [
      { desc: ErrorInfoSchema, value: errorInfo },
      { desc: RetryInfoSchema, value: retryInfo },
    ]);
    expect(refusalOf(error)).toEqual({
      code: Code.ResourceExhausted,
      message: "too fast",
      reason: "SLOW_MODE",
      fieldViolations: [],
      retryAfterMs: 1_500,
    });
  });

  test("tells which fields broke their rules", () => {
    const error = new ConnectError("invalid", Code.InvalidArgument, undefined, [
      {
        desc: BadRequestSchema,
        value: { fieldViolations: [{ field: "author.name", description: "must not be blank" }] },
      },
    ]);
    expect(refusalOf(error).fieldViolations).toEqual([{ field: "author.name", description: "must not be blank" }]);
  });

  test("from inside a stream reads like the one of the unary call", () => {
    const status = create(StatusSchema, {
      code: Code.ResourceExhausted,
      message: "too fast",
      details: [anyPack(ErrorInfoSchema, errorInfo), anyPack(RetryInfoSchema, retryInfo)],
    });
    expect(refusalOf(errorOfStatus(status))).toMatchObject({ reason: "SLOW_MODE", retryAfterMs: 1_500 });
    expect(errorOfStatus(undefined).code).toBe(Code.Unknown);
    expect(errorOfStatus(create(StatusSchema, { code: 99 })).code).toBe(Code.Unknown);
  });

  test("is none where an answer breaks off, and is one where the request was wrong", () => {
    for (const message of ["incomplete envelope", "promised 20 bytes, received 7", "missing EndStreamResponse"]) {
      expect(isNetworkFailure(new ConnectError(`protocol error: ${message}`, Code.InvalidArgument))).toBe(true);
    }
    expect(isNetworkFailure(new ConnectError("text must not be blank", Code.InvalidArgument))).toBe(false);
  });

  test("of something that is not a refusal keeps its message", () => {
    expect(refusalOf(new TypeError("fetch failed"))).toMatchObject({ code: Code.Unknown, message: "fetch failed" });
    expect(isNetworkFailure(ConnectError.from(new TypeError("fetch failed")))).toBe(true);
    const refused = new ConnectError("ours", Code.Internal, undefined, [{ desc: ErrorInfoSchema, value: errorInfo }]);
    expect(isNetworkFailure(refused)).toBe(false);
  });
});
