/**
 * The rooms as REST: the same services in other words.
 *
 * A route builds the request of an rpc and calls it in this process, through the same interceptors. Bodies are the
 * messages of the .proto in their JSON form; a refusal has the status that google.rpc.Code names for its code, and a body
 * { code, reason, message, fieldViolations?, metadata? }.
 */
import { create, type DescMessage, fromJson, type JsonObject, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import {
  ChatService,
  ListMessagesRequestSchema,
  ListMessagesResponseSchema,
  SendMessageRequestSchema,
  SendMessageResponseSchema,
} from "../../gen/chat/v1/chat_pb.ts";
import { HotWordService, ListHotWordsResponseSchema } from "../../gen/chat/v1/hot_word_pb.ts";
import {
  CreateRoomRequestSchema,
  ListRoomsRequestSchema,
  ListRoomsResponseSchema,
  type Room,
  RoomSchema,
  RoomService,
  UpdateRoomRequestSchema,
} from "../../gen/chat/v1/room_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { refuse } from "../rpc/refusals.ts";

/** HTTP status by code, as google/rpc/code.proto maps them. */
const httpStatus: Record<Code, ContentfulStatusCode> = {
  [Code.Canceled]: 499 as ContentfulStatusCode,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};

/** @param transport calls the services of this process */
export function restRoutes(transport: Transport, requestBytesMax: number): Hono {
  const rooms: Client<typeof RoomService> = createClient(RoomService, transport);
  const chat: Client<typeof ChatService> = createClient(ChatService, transport);
  const hotWords: Client<typeof HotWordService> = createClient(HotWordService, transport);
  const rest = new Hono();
  rest.onError((error, context) => refusal(context, error));
  rest.use(
    bodyLimit({
      maxSize: requestBytesMax,
      onError: () => {
        throw new ConnectError(`the body is over the limit of ${requestBytesMax} bytes`, Code.ResourceExhausted);
      },
    }),
  );

  rest.get("/rooms", async (context) => {
    const { page_size: pageSize, page_token: pageToken, status } = context.req.query();
    const query = { ...(pageSize && { pageSize }), ...(pageToken && { pageToken }), ...(status && { status }) };
    const page = await rooms.listRooms(parse(ListRoomsRequestSchema, query));
    return context.json(toJson(ListRoomsResponseSchema, page));
  });
  rest.post("/rooms", async (context) => {
    const { room } = await rooms.createRoom(parse(CreateRoomRequestSchema, await body(context)));
    return context.json(roomJson(room), 201);
  });
  rest.get("/rooms/:roomId", async (context) => {
    const { room } = await rooms.getRoom({ roomId: context.req.param("roomId") });
    return context.json(roomJson(room));
  });
  rest.patch("/rooms/:roomId", async (context) => {
    const change = { ...(await body(context)), roomId: context.req.param("roomId") };
    const { room } = await rooms.updateRoom(parse(UpdateRoomRequestSchema, change));
    return context.json(roomJson(room));
  });
  rest.post("/rooms/:roomId/close", async (context) => {
    const { room } = await rooms.closeRoom({ roomId: context.req.param("roomId") });
    return context.json(roomJson(room));
  });
  rest.get("/rooms/:roomId/messages", async (context) => {
    const { page_size: pageSize, before, after } = context.req.query();
    if (before && after) {
      const fieldViolations = [{ field: "before", description: "cannot be combined with after" }];
      throw refuse("INVALID_FIELD", "before cannot be combined with after", { fieldViolations });
    }
    const query = { ...(pageSize && { pageSize }), ...(before && { before }), ...(after && { after }) };
    const request = parse(ListMessagesRequestSchema, { ...query, roomId: context.req.param("roomId") });
    return context.json(toJson(ListMessagesResponseSchema, await chat.listMessages(request)));
  });
  rest.post("/rooms/:roomId/messages", async (context) => {
    const said = { ...(await body(context)), roomId: context.req.param("roomId") };
    const answer = await chat.sendMessage(parse(SendMessageRequestSchema, said));
    return context.json(toJson(SendMessageResponseSchema, answer), answer.duplicate ? 200 : 201);
  });
  rest.get("/rooms/:roomId/hot-words", async (context) => {
    const limit = Number(context.req.query("limit") ?? 0);
    if (!Number.isInteger(limit) || limit < 0) {
      const fieldViolations = [{ field: "limit", description: "must be a whole number from 0 to 50" }];
      throw refuse("INVALID_FIELD", "limit must be a whole number from 0 to 50", { fieldViolations });
    }
    const words = await hotWords.listHotWords({ roomId: context.req.param("roomId"), limit });
    return context.json(toJson(ListHotWordsResponseSchema, words));
  });
  rest.all("*", (context) => {
    throw new ConnectError(`there is no ${context.req.method} ${context.req.path}`, Code.NotFound);
  });
  return rest;
}

function roomJson(room: Room | undefined): JsonObject {
  return toJson(RoomSchema, room ?? create(RoomSchema)) as JsonObject;
}

async function body(context: Context): Promise<JsonObject> {
  let value: unknown;
  try {
    value = await context.req.json();
  } catch (error) {
    if (error instanceof ConnectError) {
      throw error;
    }
    throw new ConnectError("the body is not JSON", Code.InvalidArgument, undefined, undefined, error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConnectError("the body is not a JSON object", Code.InvalidArgument);
  }
  return value as JsonObject;
}

/** @throws {ConnectError} InvalidArgument where it is not the JSON form of the message */
function parse<Desc extends DescMessage>(schema: Desc, json: JsonObject): MessageShape<Desc> {
  try {
    return fromJson(schema, json);
  } catch (error) {
    throw new ConnectError(error instanceof Error ? error.message : String(error), Code.InvalidArgument);
  }
}

function refusal(context: Context, thrown: unknown): Response {
  const error = ConnectError.from(thrown, Code.Internal);
  const [info] = error.findDetails(ErrorInfoSchema);
  const [badRequest] = error.findDetails(BadRequestSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  if (retry?.retryDelay) {
    context.header("retry-after", String(Math.max(1, Number(retry.retryDelay.seconds))));
  }
  const answer = {
    code: Code[error.code],
    reason: info?.reason ?? "",
    message: error.rawMessage,
    ...(badRequest && {
      fieldViolations: badRequest.fieldViolations.map(({ field, description }) => ({ field, description })),
    }),
    ...(info && Object.keys(info.metadata).length > 0 && { metadata: info.metadata }),
  };
  return context.json(answer, httpStatus[error.code]);
}
