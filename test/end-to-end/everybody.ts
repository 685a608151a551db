/**
 * Clients that we did not write, on every protocol, in one room at once: each speaks, and each sees every message, in the
 * same order. They spread over the gateways that there are.
 */
import { expect } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import type { WebProtocol } from "../../client/web-transports.ts";
import { comparePositions, parsePosition } from "../../storage/position.ts";
import { ClientProcess } from "../harness/client-process.ts";
import { mustRunCommand } from "../harness/command.ts";
import { type Address, type BufCurlProtocol, bufCurl, grpcurl } from "../harness/curls.ts";
import { EnvelopeStream, envelope } from "../harness/envelope-stream.ts";
import { JsonStream } from "../harness/json-stream.ts";
import { generatePython, python } from "../harness/python.ts";
import { waitFor } from "../harness/wait-for.ts";
import { chromiumPath } from "../setup/tools.ts";

/** What a reader saw. */
interface Seen {
  position: string;
  text: string;
}

/** One client in the room. */
interface Participant {
  readonly name: string;
  /** It has the first event of its stream. */
  inRoom: boolean;
  readonly seen: Seen[];
  /** Undefined: it only reads. */
  say?: (text: string) => Promise<unknown>;
  /** What to show when the test fails. */
  complaint?: () => string;
}

/** An event as JSON has it, in a SubscribeResponse or a ChatResponse. */
interface EventJson {
  event?: { position?: string; roomState?: object; message?: { position: string; text: string } };
}

const messagesEach = 4;
const subscribe = "chat.v1.ChatService/Subscribe";
const sendMessage = "chat.v1.ChatService/SendMessage";
const chat = "chat.v1.ChatService/Chat";

/** What the clients need and takes a while to make. */
export interface EverybodysTools extends AsyncDisposable {
  readonly browser: Browser;
  /** The folder with the generated Python code. */
  readonly generatedPython: string;
}

export async function makeTools(): Promise<EverybodysTools> {
  const generatedPython = await mkdtemp(join(tmpdir(), "streaming-chat-python-"));
  const [browser] = await Promise.all([
    // Chromium's sandbox does not work for root.
    chromium.launch({ executablePath: chromiumPath(), args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] }),
    generatePython(generatedPython),
  ]);
  return {
    browser,
    generatedPython,
    async [Symbol.asyncDispose]() {
      await browser.close();
      await rm(generatedPython, { recursive: true, force: true });
    },
  };
}

/** Makes the room, brings everybody in, lets everybody speak, and checks that all of them saw the same. */
export async function meetInOneRoom(
  gateways: readonly Address[],
  roomId: string,
  tools: EverybodysTools,
): Promise<void> {
  const everybody = new Everybody(gateways, roomId, tools);
  try {
    await everybody.meet();
  } finally {
    await everybody.leave();
  }
}

class Everybody {
  readonly #gateways: readonly Address[];
  readonly #roomId: string;
  readonly #tools: EverybodysTools;
  readonly #processes: ClientProcess[] = [];
  #participants = 0;

  constructor(gateways: readonly Address[], roomId: string, tools: EverybodysTools) {
    this.#gateways = gateways;
    this.#roomId = roomId;
    this.#tools = tools;
  }

  async meet(): Promise<void> {
    const room = JSON.stringify({ roomId: this.#roomId, title: "모두의 방" });
    await mustRunCommand(grpcurl(this.#nextGateway(), ["chat.v1.RoomService/CreateRoom"], ["-d", room]));
    const participants: Participant[] = [
      this.#grpcurlReader(),
      this.#grpcurlTwoWay(),
      this.#bufCurlReader("grpc"),
      this.#bufCurlReader("grpcweb"),
      this.#bufCurlReader("connect"),
      this.#curlReader(),
      this.#pythonTwoWay(),
      ...(await this.#browserReaders(["connect", "grpc-web"])),
    ];
    await waitFor("everyone is in the room", () => participants.every((each) => each.inRoom), 30_000).catch((error) => {
      throw new Error(
        participants.map((each) => `${each.name}: ${each.inRoom} ${each.complaint?.() ?? ""}`).join("\n"),
        {
          cause: error,
        },
      );
    });

    const texts = await Promise.all(participants.map(sayAll));

    const expected = texts.flat().sort();
    await waitFor(
      `everyone has ${expected.length} messages`,
      () => participants.every((each) => each.seen.length >= expected.length),
      30_000,
    ).catch(() => {
      // What is missing shows below.
    });
    const first = participants[0] as Participant;
    expect(first.seen.map(({ text }) => text).sort()).toEqual(expected);
    const positions = first.seen.map(({ position }) => parsePosition(position));
    expect(positions).toEqual([...positions].sort(comparePositions));
    expect(new Set(first.seen.map(({ position }) => position)).size).toBe(expected.length);
    for (const { name, seen } of participants) {
      expect({ name, seen }).toEqual({ name, seen: first.seen });
    }
  }

  async leave(): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.stop()));
  }

  #nextGateway(): Address {
    return this.#gateways[this.#participants++ % this.#gateways.length] as Address;
  }

  #request(text: string, author: string): string {
    return JSON.stringify({ roomId: this.#roomId, text, author: { name: author } });
  }

  /** A participant whose process prints JSON. */
  #jsonParticipant(name: string, argv: readonly string[], env: Record<string, string> = {}) {
    const participant: Participant = { name, inRoom: false, seen: [] };
    const stream = new JsonStream((value) => see(participant, value));
    const client = new ClientProcess(argv, (chunk) => stream.push(chunk), env);
    participant.complaint = () => client.stderr;
    this.#processes.push(client);
    return { participant, client };
  }

  #grpcurlReader(): Participant {
    const gateway = this.#nextGateway();
    const argv = grpcurl(gateway, [subscribe], ["-d", JSON.stringify({ roomId: this.#roomId })]);
    const { participant } = this.#jsonParticipant("grpcurl", argv);
    participant.say = (text) => mustRunCommand(grpcurl(gateway, [sendMessage], ["-d", this.#request(text, "grpcurl")]));
    return participant;
  }

  #grpcurlTwoWay(): Participant {
    const gateway = this.#nextGateway();
    const { participant, client } = this.#jsonParticipant("grpcurl two-way", grpcurl(gateway, [chat], ["-d", "@"]));
    client.write(JSON.stringify({ join: { roomId: this.#roomId, author: { name: "grpcurl two-way" } } }));
    participant.say = async (text) => client.write(JSON.stringify({ send: { roomId: this.#roomId, text } }));
    return participant;
  }

  #bufCurlReader(protocol: BufCurlProtocol): Participant {
    const gateway = this.#nextGateway();
    const name = `buf curl ${protocol}`;
    const argv = bufCurl(gateway, protocol, subscribe, ["-d", JSON.stringify({ roomId: this.#roomId })]);
    const { participant } = this.#jsonParticipant(name, argv);
    participant.say = (text) =>
      mustRunCommand(bufCurl(gateway, protocol, sendMessage, ["-d", this.#request(text, name)]));
    return participant;
  }

  /** curl, by hand: the Connect protocol in JSON, the stream in envelopes. */
  #curlReader(): Participant {
    const gateway = this.#nextGateway();
    const participant: Participant = { name: "curl", inRoom: false, seen: [] };
    const stream = new EnvelopeStream((_flags, data) => see(participant, JSON.parse(data.toString())));
    const post = ["curl", "--silent", "--show-error", "--no-buffer", "--data-binary", "@-"];
    const client = new ClientProcess(
      [...post, "-H", "content-type: application/connect+json", `http://${gateway.host}:${gateway.port}/${subscribe}`],
      (chunk) => stream.push(chunk),
    );
    client.write(envelope(JSON.stringify({ roomId: this.#roomId })).toString("latin1"));
    client.endInput();
    participant.complaint = () => client.stderr;
    participant.say = (text) =>
      mustRunCommand(
        [
          ...post,
          "--fail-with-body",
          "-H",
          "content-type: application/json",
          `http://${gateway.host}:${gateway.port}/${sendMessage}`,
        ],
        {
          stdin: this.#request(text, "curl"),
        },
      );
    this.#processes.push(client);
    return participant;
  }

  #pythonTwoWay(): Participant {
    const gateway = this.#nextGateway();
    const argv = python("test/end-to-end/chat_client.py", `${gateway.host}:${gateway.port}`, this.#roomId, "파이썬");
    const { participant, client } = this.#jsonParticipant("python", argv, { PYTHONPATH: this.#tools.generatedPython });
    participant.say = async (text) => client.write(`${text}\n`);
    return participant;
  }

  /** connect-web in Chromium, on a gateway's own origin. */
  async #browserReaders(protocols: readonly WebProtocol[]): Promise<Participant[]> {
    const gateway = this.#nextGateway();
    const roomId = this.#roomId;
    const bundle = await Bun.build({ entrypoints: [join(import.meta.dir, "browser-client.ts")], target: "browser" });
    const script = await bundle.outputs[0]?.text();
    const context = await this.#tools.browser.newContext({ bypassCSP: true });
    const page = await context.newPage();
    const participants = protocols.map((protocol): Participant & { protocol: WebProtocol } => ({
      protocol,
      name: `Chromium ${protocol}`,
      inRoom: false,
      seen: [],
      say: (text) =>
        page.evaluate(([how, room, what]) => window.say(how, room, what), [protocol, roomId, text] as const),
    }));
    await page.exposeFunction("record", (protocol: WebProtocol, position: string, text: string) => {
      const participant = participants.find((each) => each.protocol === protocol) as Participant;
      if (position === "") {
        participant.inRoom = true;
      } else {
        participant.seen.push({ position, text });
      }
    });
    // Any answer of the gateway's will do: what counts is the origin.
    await page.goto(`http://${gateway.host}:${gateway.port}/healthz`);
    await page.addScriptTag({ content: script ?? "" });
    await page.evaluate(
      ([room, ways]) => {
        for (const way of ways) {
          void window.readRoom(way, room);
        }
      },
      [roomId, protocols] as const,
    );
    return participants;
  }
}

/** @returns what it said */
async function sayAll({ name, say }: Participant): Promise<string[]> {
  const texts = say ? Array.from({ length: messagesEach }, (_, index) => `${name} 말하기 ${index} "<b>" 👋`) : [];
  for (const text of texts) {
    await say?.(text);
  }
  return texts;
}

function see(participant: Participant, value: unknown): void {
  const { event } = value as EventJson;
  if (event?.roomState) {
    participant.inRoom = true;
  } else if (event?.message) {
    participant.seen.push({ position: event.position ?? "", text: event.message.text });
  }
}
