/**
 * The messages: keeps the newest in view while the reader follows, keeps their place while they read further up, and
 * asks for more at both ends. All texts of people are text nodes; nothing is ever read as HTML.
 *
 * A row reads a signal (the language), so the signals library leaves it alone while its properties stay the same: a frame
 * costs what has changed and not the whole list.
 */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { GapReason } from "../../gen/chat/v1/event_pb.ts";
import { useDemo } from "../state/demo.ts";
import type { Item } from "../state/message-window.ts";
import type { Pending, RoomSession } from "../state/room-session.ts";
import { refusalText, type Texts } from "../texts.ts";
import { authorHue } from "./author-colour.ts";

/** So near to an end, the next page is fetched. */
const nearPx = 300;
/** More messages than this in ten seconds are too many to be read aloud one by one. */
const readAloudMax = 10;
const countedMs = 10_000;
/** A scroll that glides moves at each frame; one that has not moved for so long has ended, also on a busy machine. */
const glideQuietMs = 500;

export function MessageList({ session }: { session: RoomSession }) {
  const { settings } = useDemo();
  const text = settings.text.value;
  const { number } = settings;
  const { items, following, unread, atBeginning } = session.window;
  const scroller = useRef<HTMLDivElement>(null);
  const keepPlace = useKeptPlace(scroller, following.value);
  const aloud = useReadAloud(session);

  useLayoutEffect(keepPlace);
  useEffect(() => {
    const pane = scroller.current;
    if (!pane) return;
    // A keyboard that opens, a composer that grows: the newest message stays in view.
    const resized = new ResizeObserver(() => {
      if (following.peek()) pane.scrollTop = pane.scrollHeight;
    });
    resized.observe(pane);
    return () => resized.disconnect();
  }, [following]);

  // Chromium adds a jump to a scroll that still glides (after Page Up) instead of ending it: whoever asked for the newest is
  // kept there until nothing glides any more, or they scroll again.
  const jumping = useRef<ReturnType<typeof setTimeout>>(undefined);
  const stopJumping = () => {
    clearTimeout(jumping.current);
    jumping.current = undefined;
  };
  const stayAtNewest = (pane: HTMLElement) => {
    clearTimeout(jumping.current);
    jumping.current = setTimeout(stopJumping, glideQuietMs);
    pane.scrollTop = pane.scrollHeight;
  };
  const toNewest = () => {
    session.window.follow();
    if (scroller.current) stayAtNewest(scroller.current);
  };

  const lastTop = useRef(0);
  const scrolled = () => {
    const pane = scroller.current;
    if (!pane) return;
    if (jumping.current) stayAtNewest(pane);
    const up = pane.scrollTop < lastTop.current;
    lastTop.current = pane.scrollTop;
    const below = pane.scrollHeight - pane.clientHeight - pane.scrollTop;
    if (up && below > nearPx / 10) session.window.detach();
    if (pane.scrollTop < nearPx && !following.value) void session.loadOlder();
    if (!up && !following.value) {
      if (below < 4 && session.window.endsAtNewest) session.window.follow();
      else if (below < nearPx) void session.loadNewer();
    }
  };
  // By intent, before the page has moved: at 200 messages a second the list would pull it back in between.
  const detachOn = (up: boolean) => {
    stopJumping();
    const pane = scroller.current;
    if (up && pane && pane.scrollHeight > pane.clientHeight) session.window.detach();
  };

  return (
    <div class="messages">
      <div
        ref={scroller}
        class="scroller"
        role="log"
        tabindex={0}
        aria-label={text.chatLog}
        aria-live={following.value && !aloud.tooMany.value ? "polite" : "off"}
        onScroll={scrolled}
        onPointerDown={stopJumping}
        onWheel={(event) => detachOn(event.deltaY < 0)}
        onTouchMove={() => detachOn(true)}
        onTouchEnd={scrolled}
        onKeyDown={(event) => detachOn(["ArrowUp", "PageUp", "Home"].includes(event.key))}
      >
        <div class="content">
          <div class="list-top">
            {atBeginning.value ? (
              <p class="note">{items.value.length === 0 ? text.quiet : text.beginning}</p>
            ) : (
              items.value.length > 0 && (
                <button
                  type="button"
                  class="plain"
                  disabled={session.loadingOlder.value}
                  onClick={() => void session.loadOlder()}
                >
                  {session.loadingOlder.value ? text.loadingEarlier : text.earlier}
                </button>
              )
            )}
            {session.refused.value && (
              <p class="error" role="alert">
                {refusalText(text, session.refused.value)}
              </p>
            )}
            {items.value.length === 0 && !atBeginning.value && session.connection.value?.kind === "live" && (
              <p class="note">{text.quiet}</p>
            )}
          </div>
          <ol class="rows">
            {items.value.map((item) => (
              <Row key={item.key} item={item} session={session} text={text} />
            ))}
          </ol>
          <PendingRows session={session} pending={session.pending.value} text={text} />
        </div>
      </div>
      {!following.value && (
        <button type="button" class="pill" onClick={toNewest}>
          {unread.value > 0 ? text.newMessages(number.value.format(unread.value), unread.value === 1) : text.toNewest}
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="M10 3v11M5 9.500l5 5 5-5" fill="none" stroke="currentColor" stroke-width="2.200" />
          </svg>
        </button>
      )}
      <p class="unseen" role="status">
        {aloud.summary.value}
      </p>
    </div>
  );
}

interface RowProps {
  item: Item;
  session: RoomSession;
  text: Texts;
}

function Row({ item, session, text }: RowProps) {
  const { settings } = useDemo();
  if (item.kind === "gap") {
    return (
      <li class="mark gap" data-key={item.key}>
        {text.gap[item.gap.reason] ?? text.gap[GapReason.UNSPECIFIED]}{" "}
        {item.gap.reason === GapReason.SLOW_READER && item.gap.after !== "" && (
          <button type="button" class="plain" onClick={() => void session.fillGap(item)}>
            {text.fillGap}
          </button>
        )}
      </li>
    );
  }
  if (item.kind === "resumed") {
    const { position, tookMs, caughtUp, protocol } = item.resume;
    return (
      <li class="mark resumed" data-key={item.key}>
        {text.resumed(position || "0-0", (tookMs / 1000).toFixed(tookMs < 1000 ? 2 : 1), String(caughtUp), protocol)}
      </li>
    );
  }
  const { author, text: said, sentAt } = item.message;
  const mine = author?.userId === settings.userId;
  const at = sentAt && timestampDate(sentAt);
  return (
    <li class={mine ? "row mine" : "row"} data-key={item.key}>
      <span class="face" aria-hidden="true">
        {author?.avatar || "💬"}
      </span>
      <p>
        <bdi class={`name author-${authorHue(author)}`}>{author?.name}</bdi>
        {mine && <small class="you"> {text.you}</small>}
        {at && (
          <time dateTime={at.toISOString()}>
            {at.toLocaleTimeString(settings.language.value, { hour: "numeric", minute: "2-digit" })}
          </time>
        )}
        <span class="said" dir="auto">
          {said}
        </span>
      </p>
    </li>
  );
}

interface PendingRowsProps {
  session: RoomSession;
  pending: readonly Pending[];
  text: Texts;
}

/** The reader's own messages until the room shows them. Apart from the log, so that nothing is read aloud twice. */
function PendingRows({ session, pending, text }: PendingRowsProps) {
  const { settings } = useDemo();
  const again = (one: Pending) => void session.send(one.text, settings.profile.value, one.clientMessageId);
  const edit = (one: Pending) => {
    session.forget(one.clientMessageId);
    session.draft.value = one.text;
    document.getElementById("draft")?.focus();
  };
  return (
    <ul class="rows pending">
      {pending.map((one) => (
        <li key={one.clientMessageId} class={`row mine ${one.state}`}>
          <span class="face" aria-hidden="true">
            {settings.profile.value.avatar}
          </span>
          <p>
            <bdi class="name">{settings.profile.value.name}</bdi>
            {one.state !== "refused" && <small class="you"> {text[one.state]}</small>}
            <span class="said" dir="auto">
              {one.text}
            </span>
            {one.refusal && (
              <span class="refusal">
                <span class="error" role="alert">
                  {text.refused} {refusalText(text, one.refusal)}
                </span>
                <button type="button" class="plain" onClick={() => again(one)}>
                  {text.again}
                </button>
                <button type="button" class="plain" onClick={() => edit(one)}>
                  {text.edit}
                </button>
              </span>
            )}
          </p>
        </li>
      ))}
    </ul>
  );
}

/**
 * Where the eye was before a change of the rows, it is after it: at the newest message for who follows, with a short
 * glide; at the same row for who reads further up.
 * @returns to be called after each change of the document
 */
function useKeptPlace(scroller: { current: HTMLDivElement | null }, following: boolean): () => void {
  const mark = useRef<{ row: HTMLElement; top: number }>(undefined);
  const gliding = useRef<Animation>(undefined);
  const wasFollowing = useRef(true);

  // Read while this change is being prepared: the document still is as the reader sees it.
  const pane = scroller.current;
  if (pane) {
    const rows = pane.querySelectorAll<HTMLElement>(".rows > [data-key]");
    const row = following ? rows[rows.length - 1] : firstInView(rows, pane.getBoundingClientRect().top);
    mark.current = row && { row, top: row.getBoundingClientRect().top };
  }
  return () => {
    const pane = scroller.current;
    if (!pane) return;
    const kept = mark.current;
    const shift = kept?.row.isConnected ? () => kept.row.getBoundingClientRect().top - kept.top : () => 0;
    if (following) {
      gliding.current?.cancel();
      pane.scrollTop = pane.scrollHeight;
      const moved = wasFollowing.current ? -shift() : 0;
      // What comes in a rush is shown at once: a glide would lag behind it.
      const list = pane.querySelector(".rows");
      if (list && moved > 0 && moved < 160 && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
        gliding.current = list.animate([{ transform: `translateY(${moved}px)` }, {}], {
          duration: 220,
          easing: "ease-out",
        });
      }
    } else {
      pane.scrollTop += shift();
    }
    wasFollowing.current = following;
  };
}

/** Rows stand in order, so half of them drop out at each look. */
function firstInView(rows: NodeListOf<HTMLElement>, top: number): HTMLElement | undefined {
  let [low, high] = [0, rows.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rows[middle] as HTMLElement).getBoundingClientRect().bottom > top) high = middle;
    else low = middle + 1;
  }
  return rows[low];
}

/** A screen reader reads each message, until they come faster than anybody reads; then it hears their number. */
function useReadAloud(session: RoomSession) {
  const tooMany = useSignal(false);
  const summary = useSignal("");
  const { settings } = useDemo();
  const before = useRef(0);
  useSignalEffect(() => {
    session.received.value;
    if (session.received.peek() - before.current > readAloudMax) tooMany.value = true;
  });
  useEffect(() => {
    before.current = session.received.peek();
    const timer = setInterval(() => {
      const count = session.received.peek() - before.current;
      before.current = session.received.peek();
      tooMany.value = count > readAloudMax;
      summary.value = tooMany.value ? settings.text.value.manyMessages(settings.number.value.format(count)) : "";
    }, countedMs);
    return () => clearInterval(timer);
  }, [session, settings, tooMany, summary]);
  return { tooMany, summary };
}
