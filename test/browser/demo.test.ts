/**
 * The demo in a real Chromium, served by a gateway through a proxy that can be cut. Beside each test's own conditions
 * holds for all: the page never complains (errors, broken content security policy), and what it shows of a room is what
 * the room has, each message once and in order.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AxeResults } from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { ChatClient } from "../../client/chat-client.ts";
import { createWebTransport, type WebProtocol } from "../../client/web-transports.ts";
import { type Gateway, startGateway } from "../harness/gateway.ts";
import { waitFor } from "../harness/wait-for.ts";
import { chromiumPath } from "../setup/tools.ts";
import { CuttingProxy } from "./cutting-proxy.ts";

const protocols: readonly WebProtocol[] = ["connect", "grpc-web"];
const desktop = { width: 1440, height: 900 };
const phone = { width: 390, height: 844 };
const lostLine = /Failed to load resource: net::ERR_/;
const refusedRequest = /Failed to load resource: the server responded with a status of 400/;
const testTimeoutMs = 60_000;
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const dataDirectory = mkdtempSync(join(tmpdir(), "streaming-chat-demo-"));
const gatewaySettings = { DEMO: "true", INITIAL_ROOMS: "lobby", DATA_DIRECTORY: dataDirectory };
let gateway: Gateway;
let proxy: CuttingProxy;
let browser: Browser;
let roomsMade = 0;
let complaints: string[] = [];
let closeAfterTest: (() => Promise<void>)[] = [];

beforeAll(async () => {
  gateway = await startGateway(gatewaySettings);
  proxy = await CuttingProxy.start(gateway.port);
  browser = await chromium.launch({
    executablePath: chromiumPath(),
    args: ["--disable-gpu", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])],
  });
}, testTimeoutMs);

afterAll(async () => {
  await browser?.close();
  proxy?.stop();
  await gateway?.stop();
  rmSync(dataDirectory, { recursive: true, force: true });
});

afterEach(async () => {
  await Promise.all(closeAfterTest.map((close) => close()));
  closeAfterTest = [];
  const heard = complaints;
  complaints = [];
  expect(heard).toEqual([]);
});

for (const protocol of protocols) {
  test(
    `over ${protocol}, somebody comes with a name, makes a room, and two people talk`,
    async () => {
      const page = await openPage("/", { protocol });
      await page.getByLabel("Name", { exact: true }).fill("민수");
      await page.getByRole("radio", { name: "🦉" }).check();
      await page.getByRole("button", { name: "Join the chat" }).click();
      await page.getByRole("button", { name: "New room" }).click();
      await page.getByLabel("What is it about?").fill(`Talk over ${protocol}`);
      await page.getByRole("button", { name: "Create", exact: true }).click();
      await page.getByRole("heading", { level: 1, name: `Talk over ${protocol}` }).waitFor();
      await live(page);
      const roomId = new URL(page.url()).hash.slice(2);

      await page.getByRole("textbox", { name: "Say something" }).fill("안녕하세요 👋");
      await page.keyboard.press("Enter");
      await page.locator("ol.rows .mine", { hasText: "안녕하세요 👋" }).waitFor();
      await say(roomId, ["Hello back"], { name: "Jane", avatar: "🐙" });
      const row = page.locator("ol.rows .row", { hasText: "Hello back" });
      await row.waitFor();
      expect(await row.locator(".name").textContent()).toBe("Jane");
      expect(await row.locator(".face").textContent()).toBe("🐙");
      expect(await textsShown(page)).toEqual(["안녕하세요 👋", "Hello back"]);
      expect(await page.locator(".pending li").count()).toBe(0);
      await page.locator(".viewers", { hasText: "1 watching" }).waitFor();
    },
    testTimeoutMs,
  );
}

test(
  "history comes with scrolling up, keeps its place, and a pill leads back to what is new",
  async () => {
    const roomId = await makeRoom("History");
    const texts = Array.from({ length: 180 }, (_, index) => `message ${index}`);
    await say(roomId, texts);
    const page = await openPage(`/#/${roomId}`, { joinedAs: "Reader" });
    await shownLast(page, "message 179");
    const log = page.getByRole("log");
    await log.hover();
    // The wheel stands still at a row that comes from the second page: no page that arrives may move it.
    await waitFor("the first message is shown", async () => {
      await page.mouse.wheel(0, -2000);
      return (await textsShown(page))[0] === "message 0";
    });
    await page.getByText("The room begins here.").waitFor();
    expect(await textsShown(page)).toEqual(texts);

    await log.evaluate((pane) => pane.scrollTo(0, 1000));
    const before = await placeOfFirstInView(page);
    await say(roomId, ["something new"]);
    const pill = page.getByRole("button", { name: "1 new message", exact: true });
    await pill.waitFor();
    expect(await placeOfFirstInView(page)).toEqual(before);
    expect(await textsShown(page)).toEqual(texts);
    await pill.click();
    await shownLast(page, "something new");
    await waitFor("the newest message is in view", () => isAtBottom(page));
    expect(await pill.count()).toBe(0);
  },
  testTimeoutMs,
);

test(
  "the page holds at most 500 messages, the newest, and goes back to older ones by reading them again",
  async () => {
    const roomId = await makeRoom("Much");
    const page = await openPage(`/#/${roomId}`, { joinedAs: "Reader" });
    await live(page);
    const texts = Array.from({ length: 620 }, (_, index) => `number ${index}`);
    await say(roomId, texts);
    await shownLast(page, "number 619");
    expect(await textsShown(page)).toEqual(texts.slice(-500));
    await page.getByRole("log").hover();
    await waitFor("the beginning is shown", async () => {
      await page.mouse.wheel(0, -9000);
      return (await textsShown(page))[0] === "number 0";
    });
    expect(await textsShown(page)).toEqual(texts.slice(0, 500));
    await waitFor("the end is shown again", async () => {
      await page.mouse.wheel(0, 9000);
      return (await textsShown(page)).at(-1) === "number 619" && (await isAtBottom(page));
    });
    expect(await textsShown(page)).toEqual(texts.slice(-(await textsShown(page)).length));
  },
  testTimeoutMs,
);

test(
  "a page that is left open does not grow: what has left the window leaves the memory too",
  async () => {
    const roomId = await makeRoom("Long");
    const page = await openPage(`/#/${roomId}`, { joinedAs: "Reader" });
    await live(page);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Performance.enable");
    const nodes = async () => {
      await devtools.send("HeapProfiler.collectGarbage");
      const { metrics } = await devtools.send("Performance.getMetrics");
      return metrics.find(({ name }) => name === "Nodes")?.value ?? Number.NaN;
    };
    const hundred = Array.from({ length: 100 }, (_, index) => `text ${index}`);
    const fillWindow = async () => {
      await Promise.all(Array.from({ length: 8 }, (_, person) => say(roomId, hundred, { name: `Person ${person}` })));
      await say(roomId, ["that was all"]);
      await shownLast(page, "that was all");
    };
    await fillWindow();
    const before = await nodes();
    await fillWindow();
    await fillWindow();
    // 1,600 rows more have some 16,000 nodes; what differs between two full windows is a few marks.
    await waitFor("the nodes of old rows are gone", async () => (await nodes()) < before + 1_000);
  },
  testTimeoutMs,
);

test(
  "hot words show what most people say, and take a new order when that changes",
  async () => {
    const roomId = await makeRoom("Words");
    const page = await openPage(`/#/${roomId}`, { joinedAs: "Reader" });
    await live(page);
    const crowd = (word: string, people: number) =>
      Promise.all(Array.from({ length: people }, (_, i) => say(roomId, [word], { name: `${word}${i}` })));
    await crowd("앵콜", 3);
    await crowd("janggu", 2);
    const words = page.locator(".hot-words .word");
    await waitFor("both words are ranked", async () => (await words.allTextContents()).join() === "앵콜,janggu");
    expect(await page.locator(".hot-words .users").allTextContents()).toEqual(["3 people", "2 people"]);
    await crowd("bravo", 4);
    await waitFor("the order has changed", async () => (await words.allTextContents())[0] === "bravo");
  },
  testTimeoutMs,
);

test(
  "a change of protocol under way loses nothing, doubles nothing, and says where it went on",
  async () => {
    const roomId = await makeRoom("Switch");
    const page = await openPage(`/#/${roomId}`, { joinedAs: "Reader" });
    const formats = new Set<string>();
    page.on("request", (request) => {
      if (request.url().endsWith("/Subscribe")) formats.add(request.headers()["content-type"] ?? "");
    });
    await live(page);
    const talk = keepTalking(roomId);
    await page.locator(".connection summary").click();
    for (const [index, protocol] of ["gRPC-Web", "Connect", "gRPC-Web"].entries()) {
      const seen = talk.said;
      await waitFor("more was said", () => talk.said > seen + 5);
      await page.locator(".switch label", { hasText: protocol }).click();
      await waitFor("it went on", async () => (await page.locator(".mark.resumed").count()) === index + 1);
    }
    const texts = await talk.stop();
    await shownLast(page, texts.at(-1) as string);
    expect(await textsShown(page)).toEqual(texts);
    expect(await page.locator(".mark.resumed").last().textContent()).toMatch(
      /^Resumed at \d+-\d+ in \d+\.\d+ s over gRPC-Web, \d+ caught up$/,
    );
    expect([...formats].sort()).toEqual(["application/connect+proto", "application/grpc-web+proto"]);
  },
  testTimeoutMs,
);

for (const protocol of protocols) {
  test(
    `over ${protocol}, a line that breaks is mended without a loss, and the page says so`,
    async () => {
      const roomId = await makeRoom("Cut");
      const page = await openPage(`/#/${roomId}`, { joinedAs: "Reader", protocol, mayReport: lostLine });
      await live(page);
      const talk = keepTalking(roomId);
      await waitFor("something was said", () => talk.said > 5);
      proxy.cut();
      await page.locator(".mark.resumed").waitFor();
      const texts = await talk.stop();
      await shownLast(page, texts.at(-1) as string);
      expect(await textsShown(page)).toEqual(texts);

      // The page's own scissors: what is said meanwhile is caught up.
      await page.locator(".connection summary").click();
      await page.getByRole("button", { name: "Cut my line" }).click();
      await page.locator(".dot.waiting, .dot.connecting").waitFor();
      await say(roomId, ["while it was cut"]);
      await waitFor("it went on again", async () => (await page.locator(".mark.resumed").count()) === 2);
      expect(await page.locator(".mark.resumed").last().textContent()).toEndWith(", 1 caught up");
      expect(await textsShown(page)).toEqual([...texts, "while it was cut"]);
    },
    testTimeoutMs,
  );
}

test(
  "a gateway that is replaced takes nothing away: the page goes on at the next one",
  async () => {
    const roomId = await makeRoom("Replaced");
    const page = await openPage(`/#/${roomId}`, { joinedAs: "Reader", mayReport: lostLine });
    await live(page);
    await say(roomId, ["before"]);
    await shownLast(page, "before");
    await gateway.stop();
    gateway = await startGateway(gatewaySettings);
    proxy.leadTo(gateway.port);
    await say(roomId, ["after"]);
    await shownLast(page, "after");
    expect(await textsShown(page)).toEqual(["before", "after"]);
    await page.locator(".mark.resumed").waitFor();
  },
  testTimeoutMs,
);

test(
  "what people write is text: tags and scripts in names, faces, messages and titles are shown, not run",
  async () => {
    const evil = `<img src=x onerror="document.body.textContent='gone'"><script>alert(1)</script>`;
    const roomId = await makeRoom(`Room ${evil}`);
    await say(roomId, [`Message ${evil}`, "javascript:alert(1)"], {
      name: "<b>bold</b><svg onload=alert(1)>",
      avatar: "<i>x</i>",
    });
    await Promise.all(
      Array.from({ length: 3 }, (_, i) =>
        say(roomId, ["<u>word</u> &amp;"], { name: `<style>*{display:none}</style>${i}` }),
      ),
    );
    const page = await openPage(`/#/${roomId}`, { joinedAs: "<em>Reader</em>" });
    await shownLast(page, "<u>word</u> &amp;");
    const [first] = await page.locator("ol.rows .row").all();
    expect(await first?.locator(".name").textContent()).toBe("<b>bold</b><svg onload=alert(1)>");
    expect((await textsShown(page)).slice(0, 2)).toEqual([`Message ${evil}`, "javascript:alert(1)"]);
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe(`Room ${evil}`);
    expect(await page.title()).toStartWith(`Room ${evil}`);
    await page.getByRole("textbox", { name: "Say something" }).fill(evil);
    await page.keyboard.press("Enter");
    await shownLast(page, evil);
    const strangers = "img, script:not([src]), style, b, u, i, em, ol.rows a, .said *, .name *, .row svg";
    expect(await page.locator("body").locator(strangers).count()).toBe(0);
  },
  testTimeoutMs,
);

test(
  "a message that the gateway refuses stays, says why in the reader's language, and can be corrected",
  async () => {
    const roomId = await makeRoom("Refusals");
    // A right-to-left override is not allowed in a name; the page lets the gateway judge.
    const page = await openPage(`/#/${roomId}`, { joinedAs: "x\u202e", locale: "ko-KR", mayReport: refusedRequest });
    await live(page);
    const field = page.getByRole("textbox", { name: "채팅방에 말하기" });
    await field.fill("이 말은 거절됩니다");
    await page.keyboard.press("Enter");
    const refused = page.locator(".pending .refused");
    await refused.getByText("이름은 1~40자이고 제어 문자는 쓸 수 없어요.").waitFor();
    expect(await textsShown(page)).toEqual([]);
    await refused.getByRole("button", { name: "고치기" }).click();
    expect(await field.inputValue()).toBe("이 말은 거절됩니다");
    expect(await page.locator(".pending li").count()).toBe(0);

    await field.fill("가".repeat(501));
    await page.keyboard.press("Enter");
    expect(await field.getAttribute("aria-invalid")).toBe("true");
    await page.getByText("501자입니다. 최대 500자까지 쓸 수 있어요.").waitFor();
    expect(await field.inputValue()).toBe("가".repeat(501));
  },
  testTimeoutMs,
);

test(
  "a room that is closed says so, keeps its messages readable and takes no more",
  async () => {
    const roomId = await makeRoom("Closing");
    await say(roomId, ["last words"]);
    const page = await openPage(`/#/${roomId}`, { joinedAs: "Reader" });
    await live(page);
    await client().rooms.closeRoom({ roomId });
    await page.getByText("This room is closed.").waitFor();
    expect(await page.getByRole("textbox", { name: "Say something" }).count()).toBe(0);
    expect(await textsShown(page)).toEqual(["last words"]);

    await page.reload();
    await shownLast(page, "last words");
    await page.getByText("This room is closed.").waitFor();
  },
  testTimeoutMs,
);

test(
  "an address of a room that is not there says so, and the way to others stays open",
  async () => {
    const roomId = await makeRoom("Elsewhere");
    const page = await openPage("/#/no-such-room", { joinedAs: "Reader" });
    await page.getByRole("alert").getByText("there is no such room.").waitFor();
    expect(await page.getByRole("textbox", { name: "Say something" }).count()).toBe(0);
    await page.getByRole("link", { name: roomId }).click();
    await live(page);
    await page.getByRole("heading", { level: 1, name: "Elsewhere" }).waitFor();
  },
  testTimeoutMs,
);

test(
  "everything can be done with the keyboard alone",
  async () => {
    const roomId = await makeRoom("Keys");
    await say(
      roomId,
      Array.from({ length: 60 }, (_, index) => `line ${index}`),
    );
    const page = await openPage(`/#/${roomId}`, { joinedAs: "Typist" });
    await shownLast(page, "line 59");
    const focused = () =>
      page.evaluate(() => document.activeElement?.getAttribute("class") ?? document.activeElement?.tagName);
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("skip");
    await page.keyboard.press("Enter");
    expect(await focused()).toBe("chat");
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("SUMMARY");
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("scroller");
    await page.keyboard.press("PageUp");
    await page.getByRole("button", { name: "To the newest" }).waitFor();
    // Earlier messages, back to the newest, the face, the text.
    await waitFor("the pill has the focus", async () => {
      await page.keyboard.press("Tab");
      return (await focused()) === "pill";
    });
    await page.keyboard.press("Enter");
    await waitFor("the newest message is in view", () => isAtBottom(page));
    await page.locator("#draft").focus();
    await page.keyboard.type("two");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("lines");
    await page.keyboard.press("Enter");
    await shownLast(page, "two\nlines");
  },
  testTimeoutMs,
);

test(
  "the way back to the newest is taken also while the page still glides up",
  async () => {
    const roomId = await makeRoom("Glide");
    await say(
      roomId,
      Array.from({ length: 60 }, (_, index) => `line ${index}`),
    );
    const page = await openPage(`/#/${roomId}`, { joinedAs: "Reader" });
    await shownLast(page, "line 59");
    const log = page.getByRole("log");
    await log.focus();
    await page.keyboard.press("PageUp");
    await page.getByRole("button", { name: "To the newest" }).evaluate((pill: HTMLElement) => pill.click());
    await log.evaluate(
      (pane) =>
        new Promise<void>((nothingGlides) => {
          let timer = setTimeout(nothingGlides, 600);
          pane.addEventListener("scroll", () => {
            clearTimeout(timer);
            timer = setTimeout(nothingGlides, 600);
          });
        }),
    );
    expect(await isAtBottom(page)).toBe(true);
    expect(await page.locator(".pill").count()).toBe(0);
  },
  testTimeoutMs,
);

test(
  "whoever wants less motion gets a still picture, and can let it move",
  async () => {
    const page = await openPage("/#/lobby", { reducedMotion: "reduce" });
    await live(page);
    await page.getByRole("button", { name: "Play the scene" }).click();
    await page.getByRole("button", { name: "Pause the scene" }).waitFor();
  },
  testTimeoutMs,
);

for (const colorScheme of ["dark", "light"] as const) {
  for (const [size, viewport] of Object.entries({ desktop, phone })) {
    for (const locale of ["ko-KR", "en-US"]) {
      test(
        `axe finds nothing: ${colorScheme}, ${size}, ${locale}`,
        async () => {
          const roomId = await makeRoom("Axe");
          const people = Array.from({ length: 8 }, (_, i) => ({ name: `사람 ${i}`, avatar: "🦦" }));
          for (const author of people) await say(roomId, ["앵콜 encore"], author);
          const page = await openPage(`/#/${roomId}`, { colorScheme, viewport, locale, mayReport: refusedRequest });
          await live(page);
          expect(await page.locator("html").getAttribute("lang")).toBe(locale.slice(0, 2));
          await page.locator(".connection summary").click();
          await expectNoAxeViolation(page);
          // Joined, with a message of one's own, and one that was refused beneath it.
          await page.locator("form.profile button.main").click();
          await page.locator("#draft").fill("나도 encore");
          await page.keyboard.press("Enter");
          await shownLast(page, "나도 encore");
          await page.locator("#draft").fill("bell \u0007");
          await page.keyboard.press("Enter");
          await page.locator(".pending .refused").waitFor();
          if (viewport === desktop) await page.locator(".rooms header button").click();
          await expectNoAxeViolation(page);
          if (viewport === phone) {
            await page.locator(".panes button").nth(1).click();
            await page.locator(".hot-words li").first().waitFor();
            await expectNoAxeViolation(page);
            await page.locator(".panes button").nth(2).click();
            await page.locator(".rooms header button").click();
            await expectNoAxeViolation(page);
          }
        },
        testTimeoutMs,
      );
    }
  }
}

interface PageOptions extends BrowserContextOptions {
  /** Has come before, with this name. */
  joinedAs?: string;
  protocol?: WebProtocol;
  /** What the browser itself will report, as the test makes it happen: lost connections, refused requests. */
  mayReport?: RegExp;
}

async function openPage(path: string, options: PageOptions): Promise<Page> {
  const { joinedAs, protocol, mayReport, ...contextOptions } = options;
  const context = await browser.newContext({ viewport: desktop, locale: "en-US", ...contextOptions });
  closeAfterTest.push(() => context.close());
  await context.addInitScript(
    (kept) => {
      if (localStorage.length === 0) localStorage.setItem("streaming-chat.settings", JSON.stringify(kept));
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`);
      });
    },
    { protocol, ...(joinedAs && { name: joinedAs, avatar: "🦦" }) },
  );
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(`${error.name}: ${error.message}`));
  page.on("console", (message) => {
    const isExpected = mayReport?.test(message.text()) ?? false;
    if (["error", "warning"].includes(message.type()) && !isExpected) complaints.push(message.text());
  });
  await page.goto(`${proxy.url}${path}`);
  return page;
}

function client(): ChatClient {
  return new ChatClient({ transport: createWebTransport({ baseUrl: gateway.url }) });
}

async function makeRoom(title: string): Promise<string> {
  roomsMade += 1;
  const { room } = await client().rooms.createRoom({ roomId: `demo-${roomsMade}`, title });
  return room?.roomId ?? "";
}

async function say(
  roomId: string,
  texts: readonly string[],
  author: { name: string; avatar?: string } = { name: "Other" },
) {
  const other = client();
  for (const text of texts) await other.send({ roomId, text, author });
}

/** Says numbers until it is stopped. */
function keepTalking(roomId: string): { readonly said: number; stop(): Promise<string[]> } {
  const texts: string[] = [];
  let stopped = false;
  const talking = (async () => {
    while (!stopped && texts.length < 2_000) {
      const text = `talk ${texts.length}`;
      await say(roomId, [text]);
      texts.push(text);
      await Bun.sleep(10);
    }
  })();
  return {
    get said() {
      return texts.length;
    },
    async stop() {
      stopped = true;
      await talking;
      return texts;
    },
  };
}

async function live(page: Page): Promise<void> {
  await page.locator(".dot.live").waitFor();
}

function textsShown(page: Page): Promise<string[]> {
  return page.locator("ol.rows .said").allTextContents();
}

async function shownLast(page: Page, text: string): Promise<void> {
  await waitFor(`the page shows ${JSON.stringify(text)} last`, async () => (await textsShown(page)).at(-1) === text);
}

/** The first row in view and how far from the top it stands, to the pixel. */
function placeOfFirstInView(page: Page): Promise<{ key: string | undefined; top: number }> {
  return page.getByRole("log").evaluate((pane) => {
    const top = pane.getBoundingClientRect().top;
    const rows = [...pane.querySelectorAll<HTMLElement>("[data-key]")];
    const row = rows.find((one) => one.getBoundingClientRect().bottom > top);
    return { key: row?.dataset.key, top: Math.round((row?.getBoundingClientRect().top ?? 0) - top) };
  });
}

function isAtBottom(page: Page): Promise<boolean> {
  return page.getByRole("log").evaluate((pane) => pane.scrollHeight - pane.clientHeight - pane.scrollTop < 2);
}

async function expectNoAxeViolation(page: Page): Promise<void> {
  // Something that is still gliding or fading in has the contrast of half a second.
  await page.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .filter((animation) => Number.isFinite(animation.effect?.getComputedTiming().endTime))
        .map((animation) => animation.finished.catch(() => {})),
    ),
  );
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  const found = violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target} ${node.failureSummary}`),
  );
  expect(found).toEqual([]);
}
