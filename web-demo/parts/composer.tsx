/** Where the reader writes. Enter sends, Shift+Enter breaks the line; Enter inside a Korean syllable only finishes it. */
import { useRef } from "preact/hooks";
import { useDemo } from "../state/demo.ts";
import type { RoomSession } from "../state/room-session.ts";

const textCodePointsMax = 500;
const countShownBelow = 50;

export function Composer({ session, onEditProfile }: { session: RoomSession; onEditProfile: () => void }) {
  const { settings } = useDemo();
  const { text, number, profile } = settings;
  const { draft } = session;
  const field = useRef<HTMLTextAreaElement>(null);
  const length = Array.from(draft.value).length;
  const left = textCodePointsMax - length;
  const tooLong = left < 0;

  const send = () => {
    if (draft.value.trim() === "" || tooLong) return field.current?.focus();
    session.window.follow();
    void session.send(draft.value.trim(), profile.value);
    draft.value = "";
    field.current?.focus();
  };
  return (
    <form
      class="chat-foot composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <button
        type="button"
        class="face big"
        aria-label={text.value.changeProfile(profile.value.name)}
        onClick={onEditProfile}
      >
        {profile.value.avatar}
      </button>
      <textarea
        ref={field}
        id="draft"
        rows={1}
        value={draft.value}
        placeholder={text.value.write}
        aria-label={text.value.write}
        aria-invalid={tooLong}
        aria-describedby="draft-length"
        enterkeyhint="send"
        onInput={(event) => {
          draft.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          send();
        }}
      />
      <button type="submit" class="main round" aria-label={text.value.send}>
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path d="M2 3l16 7-16 7 2.500-6L12 10 4.500 9z" />
        </svg>
      </button>
      <p id="draft-length" class={tooLong ? "count error" : "count"} aria-live="polite">
        {tooLong
          ? text.value.tooLong(number.value.format(length), number.value.format(textCodePointsMax))
          : left < countShownBelow
            ? text.value.left(number.value.format(left))
            : ""}
      </p>
    </form>
  );
}
