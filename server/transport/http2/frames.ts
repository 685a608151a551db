/**
 * The frames of HTTP/2 (RFC 9113, 4.1 and 6): their names, and how they are written.
 *
 *     length (24 bits) │ type (8) │ flags (8) │ 0, stream id (31) │ payload
 */

/** What a client sends first (RFC 9113, 3.4). */
export const clientPreface: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const frameHeadBytes = 9;

/** The longest payload that we take, and that a peer takes who has not said more (RFC 9113, 4.2). */
export const framePayloadBytesMax = 16_384;

/** The window that a connection and every stream begin with, both ways (RFC 9113, 6.9.2). */
export const windowDefault = 65_535;

/** RFC 9113, 6.9.1. */
export const windowMax: number = 2 ** 31 - 1;

export const FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const;

export const Flag = { ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

export const Setting = {
  HEADER_TABLE_SIZE: 0x1,
  ENABLE_PUSH: 0x2,
  MAX_CONCURRENT_STREAMS: 0x3,
  INITIAL_WINDOW_SIZE: 0x4,
  MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6,
} as const;

/** RFC 9113, 7. */
export const ErrorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;

/** A peer that broke the rules so that the whole connection must end (RFC 9113, 5.4.1). */
export class Http2ConnectionError extends Error {
  override readonly name = "Http2ConnectionError";
  /** One of `ErrorCode`, for GOAWAY. */
  readonly errorCode: number;

  constructor(errorCode: number, message: string) {
    super(message);
    this.errorCode = errorCode;
  }
}

/** Writes the nine bytes before a payload. */
export function writeFrameHead(
  bytes: Uint8Array,
  offset: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  bytes[offset] = length >>> 16;
  bytes[offset + 1] = length >>> 8;
  bytes[offset + 2] = length;
  bytes[offset + 3] = type;
  bytes[offset + 4] = flags;
  writeStreamId(bytes, offset, streamId);
}

/** Says whose frame it is that begins at `offset`. */
export function writeStreamId(bytes: Uint8Array, offset: number, streamId: number): void {
  bytes[offset + 5] = streamId >>> 24;
  bytes[offset + 6] = streamId >>> 16;
  bytes[offset + 7] = streamId >>> 8;
  bytes[offset + 8] = streamId;
}

/** A whole frame of at most `framePayloadBytesMax`. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + payload.length);
  writeFrameHead(bytes, 0, payload.length, type, flags, streamId);
  bytes.set(payload, frameHeadBytes);
  return bytes;
}

/** @param values one after the other, 32 bits each: the payload of RST_STREAM, WINDOW_UPDATE, GOAWAY */
export function frameOfIntegers(type: number, streamId: number, ...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + 4 * values.length);
  writeFrameHead(bytes, 0, 4 * values.length, type, 0, streamId);
  for (const [index, value] of values.entries()) {
    bytes.writeUInt32BE(value, frameHeadBytes + 4 * index);
  }
  return bytes;
}

/** @param entries of `Setting` and their values (RFC 9113, 6.5.1) */
export function settingsFrame(entries: readonly (readonly [setting: number, value: number])[]): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + 6 * entries.length);
  writeFrameHead(bytes, 0, 6 * entries.length, FrameType.SETTINGS, 0, 0);
  for (const [index, [setting, value]] of entries.entries()) {
    bytes.writeUInt16BE(setting, frameHeadBytes + 6 * index);
    bytes.writeUInt32BE(value, frameHeadBytes + 6 * index + 2);
  }
  return bytes;
}
