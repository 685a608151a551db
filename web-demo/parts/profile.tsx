/** Name and face: a random pair is offered, both can be changed. Stands where the composer will be. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useDemo } from "../state/demo.ts";
import { faces, randomProfile } from "../state/random-profile.ts";

/** Author.name counts code points; `maxlength` would count UTF-16 units. */
const nameCodePointsMax = 40;

export function ProfileForm({ onDone }: { onDone: () => void }) {
  const { settings } = useDemo();
  const text = settings.text.value;
  const draft = useSignal(settings.profile.value);
  const joined = settings.joined.value;
  const nameField = useRef<HTMLInputElement>(null);
  const name = draft.value.name.trim();
  // Whoever asked to change their name wants to type; whoever has just come wants to read first.
  useEffect(() => {
    if (settings.joined.peek()) nameField.current?.focus();
  }, [settings]);

  const submit = (event: Event) => {
    event.preventDefault();
    if (name === "") return nameField.current?.focus();
    settings.profile.value = { ...draft.value, name };
    settings.joined.value = true;
    onDone();
  };
  return (
    <form class="chat-foot profile" onSubmit={submit} aria-labelledby="profile-title">
      <div>
        <h3 id="profile-title">{text.profile}</h3>
        {!joined && <p class="note">{text.profileWhy}</p>}
      </div>
      <div class="line">
        <span class="face big" aria-hidden="true">
          {draft.value.avatar}
        </span>
        <label class="field">
          <span>{text.name}</span>
          <input
            ref={nameField}
            name="name"
            autocomplete="nickname"
            required
            value={draft.value.name}
            onInput={(event) => {
              const name = Array.from(event.currentTarget.value).slice(0, nameCodePointsMax).join("");
              event.currentTarget.value = name;
              draft.value = { ...draft.value, name };
            }}
          />
        </label>
        <button
          type="button"
          class="round"
          aria-label={text.shuffle}
          title={text.shuffle}
          onClick={() => {
            draft.value = randomProfile(settings.language.value);
          }}
        >
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="M4 3h12a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zm2.500 2a1.500 1.500 0 1 0 0 3 1.500 1.500 0 0 0 0-3zm7 7a1.500 1.500 0 1 0 0 3 1.500 1.500 0 0 0 0-3zM10 8.500a1.500 1.500 0 1 0 0 3 1.500 1.500 0 0 0 0-3z" />
          </svg>
        </button>
      </div>
      <fieldset class="faces">
        <legend class="unseen">{text.face}</legend>
        {faces.map((face) => (
          <label key={face}>
            <input
              type="radio"
              name="face"
              value={face}
              checked={draft.value.avatar === face}
              onChange={() => {
                draft.value = { ...draft.value, avatar: face };
              }}
            />
            <span class="face">{face}</span>
          </label>
        ))}
      </fieldset>
      <div class="line end">
        {joined && (
          <button type="button" class="plain" onClick={onDone}>
            {text.cancel}
          </button>
        )}
        <button type="submit" class="main">
          {joined ? text.save : text.join}
        </button>
      </div>
    </form>
  );
}
