/** The table of services: what a gateway answers, and the options and interceptors that all of it passes. */
import type { ConnectRouter, ConnectRouterOptions } from "@connectrpc/connect";
import { ChatService } from "../../gen/chat/v1/chat_pb.ts";
import { HotWordService } from "../../gen/chat/v1/hot_word_pb.ts";
import { RoomService } from "../../gen/chat/v1/room_pb.ts";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Readiness } from "../readiness.ts";
import type { HotWordFeed } from "../room/hot-word-feed.ts";
import { type ChatServiceParts, chatService } from "./chat-service.ts";
import { healthService } from "./health-service.ts";
import { hotWordService } from "./hot-word-service.ts";
import { refusalInterceptor, validationInterceptor } from "./interceptors.ts";
import { reflectionService } from "./reflection-service.ts";
import { roomService } from "./room-service.ts";

export interface ServicesParts extends ChatServiceParts {
  hotWordFeed: HotWordFeed;
  readiness: Readiness;
  /** Whether anybody may ask for the API's description. */
  reflection: boolean;
}

export function services(parts: ServicesParts): (router: ConnectRouter) => void {
  const chat = [ChatService, RoomService, HotWordService];
  return (router) => {
    router.service(ChatService, chatService(parts));
    router.service(RoomService, roomService(parts.catalog));
    router.service(HotWordService, hotWordService(parts.catalog, parts.hotWordFeed, parts.hub));
    router.service(
      Health,
      healthService(
        parts.readiness,
        chat.map(({ typeName }) => typeName),
      ),
    );
    if (parts.reflection) {
      const services = [...chat, Health, ServerReflection, ServerReflectionV1Alpha];
      // No service imports the details of refusals; clients that print them look them up by name.
      const reflection = reflectionService(services, [file_google_rpc_error_details]);
      router.service(ServerReflection, reflection);
      router.service(ServerReflectionV1Alpha, reflection as never);
    }
  };
}

/** The longest deadline that a client may ask for; above it the call is refused. */
const timeoutMsMax = 24 * 60 * 60 * 1_000;

/** What a response may hold: a page of 200 messages of 500 code points in JSON is under 1 MB. */
const responseBytesMax = 4 * 1024 * 1024;

/** @param requestBytesMax one message of a request, compressed or not */
export function routerOptions(
  parts: Pick<ServicesParts, "logger" | "validation">,
  requestBytesMax: number,
): Omit<ConnectRouterOptions, "acceptCompression"> {
  return {
    interceptors: [refusalInterceptor(parts.logger), validationInterceptor(parts.validation)],
    readMaxBytes: requestBytesMax,
    writeMaxBytes: responseBytesMax,
    maxTimeoutMs: timeoutMsMax,
    grpc: true,
    grpcWeb: true,
    connect: true,
  };
}
