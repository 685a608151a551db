/** How the page is connected: state, protocol, cursor and the last resume; and scissors to try it all out. */
import { useDemo } from "../state/demo.ts";
import type { RoomSession } from "../state/room-session.ts";
import type { Protocol } from "../state/settings.ts";
import type { Texts } from "../texts.ts";

const protocols: readonly (readonly [Protocol, string])[] = [
  ["connect", "Connect"],
  ["grpc-web", "gRPC-Web"],
];
const cutMs = 3_000;

export function ConnectionStatus({ session }: { session: RoomSession }) {
  const demo = useDemo();
  const { settings, line } = demo;
  const text = settings.text.value;
  const state = session.connection.value;
  const kind = state?.kind ?? "idle";
  const name = protocols.find(([protocol]) => protocol === settings.protocol.value)?.[1];
  return (
    <details class="connection">
      <summary>
        <span class="unseen">{text.connection}: </span>
        <span class={`dot ${kind}`} aria-hidden="true" />
        <span role="status">{text.state[kind]}</span> <span class="protocol">{name}</span>
      </summary>
      <div class="connection-more">
        <Why session={session} text={text} />
        <fieldset class="switch">
          <legend>{text.protocol}</legend>
          {protocols.map(([protocol, label]) => (
            <label key={protocol}>
              <input
                type="radio"
                name="protocol"
                value={protocol}
                checked={settings.protocol.value === protocol}
                onChange={() => demo.setProtocol(protocol)}
              />
              <span>{label}</span>
            </label>
          ))}
        </fieldset>
        <dl>
          <dt>{text.cursor}</dt>
          <dd>{session.cursor.value || "–"}</dd>
          <dt>{text.top}</dt>
          <dd>
            {session.topPosition.value || "–"} <small>{distance(session, text)}</small>
          </dd>
          <dt>{text.resumes}</dt>
          <dd>{text.times(settings.number.value.format(session.resumes.value), session.resumes.value === 1)}</dd>
        </dl>
        <button type="button" class="plain" disabled={line.isCut.value} onClick={() => line.cut(cutMs)}>
          {line.isCut.value ? text.cutNow : text.cut}
        </button>
      </div>
    </details>
  );
}

/** Why it is not live, where there is something to say. */
function Why({ session, text }: { session: RoomSession; text: Texts }) {
  const state = session.connection.value;
  if (state?.kind !== "waiting" || state.cause.kind !== "ended") return null;
  return <p class="note">{text.endReasons[state.cause.reason] ?? ""}</p>;
}

/** Messages between the page and the room. Positions count densely within an epoch, so within one they subtract. */
function distance(session: RoomSession, text: Texts): string {
  const [epoch, seq] = session.cursor.value.split("-");
  const [topEpoch, topSeq] = session.topPosition.value.split("-");
  if (!epoch || epoch !== topEpoch) return "";
  const behind = Number(topSeq) - Number(seq);
  return behind > 0 ? text.behind(String(behind)) : text.inStep;
}
