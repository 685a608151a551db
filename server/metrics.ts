/** The gateway's figures for Prometheus: one table of all metrics, and the hooks of the parts that move them. */
import { Counter, Gauge, Registry } from "@prometheus-io/client";
import type { LogEntry } from "../storage/log/room-log.ts";
import type { Hub } from "./room/hub.ts";
import type { RoomObserver } from "./room/room.ts";

export class Metrics implements RoomObserver {
  readonly #registry = new Registry();
  readonly #entries: Counter;
  readonly #deliveries: Counter;
  readonly #deliverySeconds: Counter;
  readonly #undecodable: Counter;
  readonly #written: Counter;
  readonly #deadLettered: Counter;

  constructor() {
    const registers = [this.#registry];
    this.#entries = new Counter({
      name: "chat_entries_delivered_total",
      help: "Entries of room logs that this gateway handed to at least the rooms' memory.",
      registers,
    });
    this.#deliveries = new Counter({
      name: "chat_deliveries_total",
      help: "Entries times the subscriptions they were handed to.",
      registers,
    });
    this.#deliverySeconds = new Counter({
      name: "chat_delivery_seconds_total",
      help: "Time spent handing entries to subscriptions. Its rate is the share of a core that --room-linger-ms-max keeps low.",
      registers,
    });
    this.#undecodable = new Counter({
      name: "chat_entries_undecodable_total",
      help: "Entries that are not events: left out. Above 0, somebody else writes into the log.",
      registers,
    });
    this.#written = new Counter({
      name: "chat_entries_stored_total",
      help: "Entries that the worker of this process brought into the history.",
      registers,
    });
    this.#deadLettered = new Counter({
      name: "chat_entries_dead_lettered_total",
      help: "Entries that could not be stored. Above 0, look at the dead letters.",
      registers,
    });
  }

  /** Follows the hub's own figures, and the process's. */
  watch(hub: Hub): void {
    // Not the client's default metrics: their event-loop histograms cost a tenth of a busy gateway's time.
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(value());
        },
      });
    gauge("chat_streams", "Open streams.", () => hub.streams);
    gauge("chat_rooms_followed", "Rooms that this gateway follows.", () => hub.roomsFollowed);
    gauge("chat_waiting_bytes", "Bytes that wait for readers who are behind.", () => hub.waitingBytes);
    gauge("process_resident_memory_bytes", "Memory of the process.", () => process.memoryUsage.rss());
    gauge("process_cpu_seconds_total", "CPU time of the process, user and system.", () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
  }

  delivered(entries: number, subscriptions: number, ms: number): void {
    this.#entries.inc(entries);
    this.#deliveries.inc(entries * subscriptions);
    this.#deliverySeconds.inc(ms / 1_000);
  }

  undecodable(_entry: LogEntry): void {
    this.#undecodable.inc();
  }

  written(entries: number): void {
    this.#written.inc(entries);
  }

  deadLettered(): void {
    this.#deadLettered.inc();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
