/** What a fault is: it does its harm to one member, for a time that the seed decides, and heals it again. */
import type { CuttingProxy } from "../../../browser/cutting-proxy.ts";
import type { ViolationKind } from "../../checker/violation.ts";
import type { Member, MemberKind } from "../deployment.ts";
import type { Load } from "../load.ts";

export interface FaultContext {
  /** Answers [0, 1). */
  readonly random: () => number;
  /** Waits; a time between the two, by the seed. */
  pause(leastMs: number, mostMs: number): Promise<void>;
  /** What stands in front of the gateways, one for each. */
  readonly proxies: readonly CuttingProxy[];
  readonly load: Load;
  /** Remembers a figure of this fault, as how long a drain took. */
  measure(figure: string, value: number): void;
}

export interface Fault {
  readonly name: string;
  readonly about: string;
  readonly kind: MemberKind;
  /** What cannot but happen, as after a loss of data. A fault with such consequences happens only where it is asked for by name. */
  readonly allows?: readonly ViolationKind[];
  inject(member: Member, context: FaultContext): Promise<void>;
}
