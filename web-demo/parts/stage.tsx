/** The picture: the scene, what lies over it (live badge, clock, viewers), and the room's title beneath. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useDemo } from "../state/demo.ts";
import { stickColour } from "./author-colour.ts";
import { StageScene } from "./stage-scene.ts";

export function Stage() {
  const { settings, session } = useDemo();
  const text = settings.text.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  const scene = useRef<StageScene>(undefined);
  const playing = useSignal(!matchMedia("(prefers-reduced-motion: reduce)").matches);

  useEffect(() => {
    if (canvas.current) scene.current = new StageScene(canvas.current);
    return () => scene.current?.play(false);
  }, []);
  useSignalEffect(() => {
    scene.current?.show(session.value?.hotWords.value[0]?.word ?? settings.text.value.noWordYet);
  });
  useSignalEffect(() => scene.current?.play(playing.value));
  useSignalEffect(() => {
    const room = session.value;
    if (room) room.onCheer = ({ author }) => scene.current?.cheer(author?.avatar ?? "", stickColour(author));
  });

  const room = session.value?.room.value;
  const isOpen = session.value?.isOpen ?? true;
  return (
    <section class="stage" aria-label={room?.title ?? text.siteName}>
      <div class="screen">
        <canvas ref={canvas} role="img" aria-label={text.sceneLabel} />
        <div class="screen-top">
          <span class={isOpen ? "badge live" : "badge"}>{isOpen ? text.live : text.closed}</span>
          <Viewers />
          {room?.createdAt && isOpen && <OnAir sinceMs={timestampMs(room.createdAt)} />}
        </div>
        <div class="screen-bottom">
          <button
            type="button"
            class="round"
            aria-label={playing.value ? text.pause : text.play}
            onClick={() => {
              playing.value = !playing.value;
            }}
          >
            <svg viewBox="0 0 20 20" aria-hidden="true">
              <path d={playing.value ? "M5 3h4v14H5zM11 3h4v14h-4z" : "M5 2.5v15l12-7.5z"} />
            </svg>
          </button>
          <span class="note">{text.sceneNote}</span>
        </div>
      </div>
      <div class="title">
        <h1>
          <bdi>{room?.title ?? session.value?.roomId ?? text.siteName}</bdi>
        </h1>
        {room?.description && (
          <p>
            <bdi>{room.description}</bdi>
          </p>
        )}
      </div>
    </section>
  );
}

function Viewers() {
  const { settings, session } = useDemo();
  const viewers = session.value?.viewers.value;
  if (viewers === undefined) return null;
  return (
    <span class="badge viewers">
      <svg viewBox="0 0 20 20" aria-hidden="true">
        <path d="M10 4C5.5 4 2.3 7.4 1 10c1.3 2.600 4.500 6 9 6s7.700-3.400 9-6c-1.300-2.600-4.500-6-9-6zm0 9.500a3.500 3.500 0 1 1 0-7 3.500 3.500 0 0 1 0 7z" />
      </svg>
      {settings.text.value.viewers(settings.number.value.format(viewers))}
    </span>
  );
}

/** Counts from the room's creation, by this machine's clock: for show. */
function OnAir({ sinceMs }: { sinceMs: number }) {
  const { settings } = useDemo();
  const nowMs = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      nowMs.value = Date.now();
    }, 1000);
    return () => clearInterval(timer);
  }, [nowMs]);
  const seconds = Math.max(0, Math.floor((nowMs.value - sinceMs) / 1000));
  const two = (value: number) => String(value).padStart(2, "0");
  return (
    <span class="badge">
      <span class="unseen">{settings.text.value.onAir} </span>
      {Math.floor(seconds / 3600)}:{two(Math.floor(seconds / 60) % 60)}:{two(seconds % 60)}
    </span>
  );
}
