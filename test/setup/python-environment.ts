/** Makes the Python environment of the generated client, once per list of requirements. */
import { join } from "node:path";
import { mustRunCommand } from "../harness/command.ts";
import { provide } from "./cache.ts";
import { pythonDir, pythonRequirementsPath } from "./tools.ts";

/** @returns what was done, for people */
export async function providePythonEnvironment(): Promise<string> {
  const python = Bun.which("python3");
  if (!python) {
    throw new Error("Python is missing: install Python 3.10 or later with venv (Debian: apt-get install python3-venv)");
  }
  const built = await provide(pythonDir(), async (dir) => {
    await mustRunCommand([python, "-m", "venv", dir], { timeoutMs: 120_000 });
    // Not the script `pip`: it holds the temporary path of this folder.
    const pip = [join(dir, "bin", "python"), "-m", "pip", "--disable-pip-version-check"];
    await mustRunCommand(
      [...pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:", "-r", pythonRequirementsPath],
      {
        timeoutMs: 5 * 60_000,
      },
    );
    await mustRunCommand([...pip, "check"]);
  });
  return `Python environment ${built ? "made" : "is there"}`;
}
