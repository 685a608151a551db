/**
 * The head of a request out of the fields of a header block, with the rules of RFC 9113, 8.2 and 8.3.
 *
 * State: one block's fields, up to the limit; what is beyond is only counted, so that the peer can be told.
 */

export class RequestHead {
  readonly method: string;
  readonly scheme: string;
  /** :authority, or else "host"; undefined: neither was sent. */
  readonly authority: string | undefined;
  /** :path, with the query. */
  readonly path: string;
  /** In the order sent, names in lower case, pseudo-fields left out. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Undefined: not said. */
  readonly contentLength: number | undefined;
  /** It waits to be told 100 (RFC 9110, 10.1.1). */
  readonly expectsContinue: boolean;

  constructor(parts: Omit<RequestHead, "field">) {
    this.method = parts.method;
    this.scheme = parts.scheme;
    this.authority = parts.authority;
    this.path = parts.path;
    this.fields = parts.fields;
    this.contentLength = parts.contentLength;
    this.expectsContinue = parts.expectsContinue;
  }

  /** The first value of a field. @param name in lower case */
  field(name: string): string | undefined {
    return this.fields.find(([each]) => each === name)?.[1];
  }
}

/** RFC 9113, 6.5.2, "SETTINGS_MAX_HEADER_LIST_SIZE". */
const fieldOverheadBytes = 32;

/** Far more than any client sends; each costs a string or two. */
const fieldsMax = 128;

/** RFC 9110, 5.6.2, without capitals (RFC 9113, 8.2.1). */
const namePattern = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** No NUL, CR or LF, and no space at the ends (RFC 9113, 8.2.1). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is these characters that are looked for.
const badValuePattern = /[\u0000\n\r]|^[ \t]|[ \t]$/;

/** They speak of a connection, and HTTP/2 has its own ways (RFC 9113, 8.2.2). */
const connectionFields: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

const pseudoFields: ReadonlySet<string> = new Set([":method", ":scheme", ":authority", ":path"]);

export class RequestHeadBuilder {
  readonly #headerBytesMax: number;
  readonly #fields: (readonly [string, string])[] = [];
  readonly #pseudo = new Map<string, string>();
  #bytes = 0;
  #isMalformed = false;
  #host: string | undefined;
  #contentLength: number | undefined;
  #expectsContinue = false;

  /** @param headerBytesMax of all names and values and 32 for each field */
  constructor(headerBytesMax: number) {
    this.#headerBytesMax = headerBytesMax;
  }

  /** There is more than `headerBytesMax`, or too many fields. */
  get isTooLarge(): boolean {
    return this.#bytes > this.#headerBytesMax || this.#fields.length > fieldsMax;
  }

  readonly add = (name: string, value: string): void => {
    this.#bytes += name.length + value.length + fieldOverheadBytes;
    if (this.isTooLarge || this.#isMalformed) {
      return;
    }
    if (name.startsWith(":")) {
      const isKnown = pseudoFields.has(name) && !this.#pseudo.has(name) && this.#fields.length === 0;
      this.#isMalformed = !isKnown || badValuePattern.test(value);
      this.#pseudo.set(name, value);
      return;
    }
    this.#isMalformed = !this.#isWellFormed(name, value);
    this.#fields.push([name, value]);
  };

  /** @returns undefined: the request is malformed (RFC 9113, 8.1.1) */
  build(): RequestHead | undefined {
    const method = this.#pseudo.get(":method");
    const scheme = this.#pseudo.get(":scheme");
    const path = this.#pseudo.get(":path");
    const isPath = path?.startsWith("/") || (path === "*" && method === "OPTIONS");
    if (this.#isMalformed || !method || !scheme || !path || !isPath) {
      return undefined;
    }
    return new RequestHead({
      method,
      scheme,
      authority: this.#pseudo.get(":authority") ?? this.#host,
      path,
      fields: this.#fields,
      contentLength: this.#contentLength,
      expectsContinue: this.#expectsContinue,
    });
  }

  /** Trailers: the same rules, and no pseudo-fields (RFC 9113, 8.1). */
  get isWellFormedTrailer(): boolean {
    return !this.#isMalformed && this.#pseudo.size === 0;
  }

  #isWellFormed(name: string, value: string): boolean {
    if (!namePattern.test(name) || badValuePattern.test(value) || connectionFields.has(name)) {
      return false;
    }
    switch (name) {
      case "te":
        return value === "trailers";
      case "host":
        this.#host ??= value;
        return true;
      case "expect":
        this.#expectsContinue = value.toLowerCase() === "100-continue";
        return true;
      case "content-length": {
        const isRepeated = this.#contentLength !== undefined && this.#contentLength !== Number(value);
        this.#contentLength = Number(value);
        return /^\d{1,15}$/.test(value) && !isRepeated;
      }
      default:
        return true;
    }
  }
}
