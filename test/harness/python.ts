/** Clients in Python: the environment of the set-up and code generated from proto/ at test time. */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pythonPath } from "../setup/tools.ts";
import { mustRunCommand } from "./command.ts";

const root = resolve(import.meta.dir, "../..");

/** Generates the Python code of the API into a folder. google.rpc comes as a package, from googleapis-common-protos. */
export async function generatePython(dir: string): Promise<void> {
  const own = readdirSync(join(root, "proto/chat/v1")).filter((name) => name.endsWith(".proto"));
  await mustRunCommand([
    pythonPath(),
    ...["-m", "grpc_tools.protoc"],
    ...["-I", join(root, "proto"), "-I", join(root, "third_party/proto")],
    ...[`--python_out=${dir}`, `--grpc_python_out=${dir}`],
    ...own.map((name) => `chat/v1/${name}`),
    "buf/validate/validate.proto",
  ]);
}

/** The command line of a script. Run it with PYTHONPATH set to what `generatePython` wrote. */
export function python(script: string, ...args: string[]): string[] {
  return [pythonPath(), join(root, script), ...args];
}
