/** The publisher's side of a server of a bench: a second port, whose every stamp is a message to publish. */
import net, { type AddressInfo } from "node:net";
import { stampReader } from "./publication.ts";

/** Listens for the publisher on a free port, and then prints both ports as JSON. */
export async function listenForPublisher(readersPort: number, publish: (stamp: string) => void): Promise<void> {
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", stampReader(publish));
  });
  await listen(server);
  console.log(JSON.stringify({ readersPort, publisherPort: (server.address() as AddressInfo).port }));
}

/** Listens on a free port of the loopback. @returns the port */
export async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
