/**
 * grpc.reflection.v1 and v1alpha (the comments of reflection.proto): grpcurl and buf curl learn the API from the server.
 *
 * The two versions have the same messages under two names, so one implementation answers both.
 */
import { type DescFile, type DescMessage, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type { ServerReflection, ServerReflectionRequest } from "../../gen/grpc/reflection/v1/reflection_pb.ts";

/**
 * @param services those to list; their files and all that these import are found by name
 * @param files further ones to be found
 */
export function reflectionService(
  services: readonly DescService[],
  files: readonly DescFile[],
): ServiceImpl<typeof ServerReflection> {
  const index = new DescriptorIndex(services, files);
  return {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(index, request) };
      }
    },
  };
}

function answer(index: DescriptorIndex, { messageRequest }: ServerReflectionRequest) {
  switch (messageRequest.case) {
    case "listServices":
      return { case: "listServicesResponse" as const, value: { service: index.services.map((name) => ({ name })) } };
    case "fileByFilename":
      return found(index.withImports(index.byName.get(messageRequest.value)), messageRequest.value);
    case "fileContainingSymbol":
      return found(index.withImports(index.bySymbol.get(messageRequest.value)), messageRequest.value);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = messageRequest.value;
      const file = index.byExtension.get(`${containingType} ${extensionNumber}`);
      return found(index.withImports(file), `extension ${extensionNumber} of ${containingType}`);
    }
    case "allExtensionNumbersOfType": {
      const type = messageRequest.value;
      if (!index.bySymbol.has(type)) {
        return notFound(type);
      }
      const extensionNumber = index.extensionNumbers.get(type) ?? [];
      return {
        case: "allExtensionNumbersResponse" as const,
        value: { baseTypeName: type, extensionNumber },
      };
    }
    case undefined:
      return {
        case: "errorResponse" as const,
        value: { errorCode: Code.InvalidArgument, errorMessage: "the request asks for nothing" },
      };
  }
}

function found(files: readonly DescFile[] | undefined, what: string) {
  if (!files) {
    return notFound(what);
  }
  const fileDescriptorProto = files.map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto } };
}

function notFound(what: string) {
  return {
    case: "errorResponse" as const,
    value: { errorCode: Code.NotFound, errorMessage: `there is no ${what}` },
  };
}

class DescriptorIndex {
  readonly services: readonly string[];
  readonly byName = new Map<string, DescFile>();
  readonly bySymbol = new Map<string, DescFile>();
  /** "<full name of the extended message> <field number>" → the file that extends it. */
  readonly byExtension = new Map<string, DescFile>();
  readonly extensionNumbers = new Map<string, number[]>();

  constructor(services: readonly DescService[], files: readonly DescFile[]) {
    this.services = services.map(({ typeName }) => typeName);
    for (const file of [...services.map(({ file }) => file), ...files]) {
      this.#add(file);
    }
  }

  /** A file and everything it imports, the file first: a client can use them without asking again. */
  withImports(file: DescFile | undefined): DescFile[] | undefined {
    if (!file) {
      return undefined;
    }
    const files = new Set([file]);
    for (const each of files) {
      for (const imported of each.dependencies) {
        files.add(imported);
      }
    }
    return [...files];
  }

  #add(file: DescFile): void {
    // A file's own name lacks the ending.
    const name = file.proto.name;
    if (this.byName.has(name)) {
      return;
    }
    this.byName.set(name, file);
    for (const service of file.services) {
      this.bySymbol.set(service.typeName, file);
      for (const method of service.methods) {
        this.bySymbol.set(`${service.typeName}.${method.name}`, file);
      }
    }
    for (const { typeName } of file.enums) {
      this.bySymbol.set(typeName, file);
    }
    for (const message of file.messages) {
      this.#addMessage(message, file);
    }
    for (const extension of file.extensions) {
      this.bySymbol.set(extension.typeName, file);
      const extended = extension.extendee.typeName;
      this.byExtension.set(`${extended} ${extension.number}`, file);
      this.extensionNumbers.set(extended, [...(this.extensionNumbers.get(extended) ?? []), extension.number]);
    }
    for (const imported of file.dependencies) {
      this.#add(imported);
    }
  }

  #addMessage(message: DescMessage, file: DescFile): void {
    this.bySymbol.set(message.typeName, file);
    for (const { name } of message.fields) {
      this.bySymbol.set(`${message.typeName}.${name}`, file);
    }
    for (const { typeName } of message.nestedEnums) {
      this.bySymbol.set(typeName, file);
    }
    for (const nested of message.nestedMessages) {
      this.#addMessage(nested, file);
    }
  }
}
