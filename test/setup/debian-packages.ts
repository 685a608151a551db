/**
 * The system's part of what tests need: a browser, fonts for Korean and emoji, a terminal multiplexer, curl, Redis, Python.
 * On Debian as root what is missing is installed; everywhere else its absence is an error that says what to install.
 */
import { mustRunCommand, runCommand } from "../harness/command.ts";

interface SystemPackage {
  /** The name of Debian's package. */
  readonly name: string;
  /** Whether the machine has what tests take from it, wherever it came from. */
  readonly present: () => Promise<boolean>;
}

const systemPackages: readonly SystemPackage[] = [
  {
    name: "chromium",
    present: hasAnyCommand("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
  },
  // Tells which fonts are there.
  { name: "fontconfig", present: hasAnyCommand("fc-list") },
  { name: "fonts-noto-cjk", present: hasFont(":lang=ko") },
  { name: "fonts-noto-color-emoji", present: hasFont(":lang=und-zsye") },
  { name: "tmux", present: hasAnyCommand("tmux") },
  { name: "curl", present: hasAnyCommand("curl") },
  // Cassandra runs on it.
  { name: "openjdk-17-jre-headless", present: hasAnyCommand("java") },
  // Fetches Cassandra.
  { name: "maven", present: hasAnyCommand("mvn") },
  { name: "redis-server", present: hasAnyCommand("redis-server") },
  // Gives a process a wrong clock.
  { name: "faketime", present: hasAnyCommand("faketime") },
  // Holds up the disk under a Redis, and sees what the disk has confirmed.
  { name: "strace", present: hasAnyCommand("strace") },
  // Debian's python3 cannot make environments without it.
  { name: "python3-venv", present: hasPythonVenv },
];

/** @returns what was done, for people @throws {Error} naming what is missing where it cannot be installed */
export async function provideSystemPackages(): Promise<string> {
  const missing = await missingPackages();
  if (missing.length === 0) {
    return "system packages are there";
  }
  const command = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (!Bun.which("apt-get")) {
    throw new Error(`missing on this machine: ${missing.join(", ")} (names of Debian's packages); install them`);
  }
  if (process.getuid?.() !== 0) {
    throw new Error(`missing on this machine: ${missing.join(", ")}; as root run: apt-get update && ${command}`);
  }
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await mustRunCommand(["apt-get", "update"], { env, timeoutMs: 3 * 60_000 });
  await mustRunCommand(command.split(" "), { env, timeoutMs: 10 * 60_000 });
  const still = await missingPackages();
  if (still.length > 0) {
    throw new Error(`installed ${missing.join(", ")}, but ${still.join(", ")} cannot be found`);
  }
  return `installed ${missing.join(", ")}`;
}

async function missingPackages(): Promise<string[]> {
  const present = await Promise.all(systemPackages.map((each) => each.present()));
  return systemPackages.filter((_, index) => !present[index]).map((each) => each.name);
}

function hasAnyCommand(...names: string[]): () => Promise<boolean> {
  return async () => names.some((name) => Bun.which(name) !== null);
}

function hasFont(pattern: string): () => Promise<boolean> {
  return async () => {
    if (!Bun.which("fc-list")) {
      return false;
    }
    const { stdout } = await runCommand(["fc-list", pattern, "family"]);
    return stdout.includes("Noto");
  };
}

async function hasPythonVenv(): Promise<boolean> {
  return Bun.which("python3") !== null && (await runCommand(["python3", "-c", "import venv, ensurepip"])).code === 0;
}
