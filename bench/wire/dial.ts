/** Opens the raw connection of a reader: plain or TLS, as the address says. */
import net from "node:net";
import tls from "node:tls";

/** @param url http://host:port or https://host:port @param protocol for TLS: what ALPN asks for */
export function dial(url: URL, protocol: "http/1.1" | "h2"): net.Socket {
  const host = url.hostname.replace(/^\[(.+)\]$/, "$1");
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  if (url.protocol !== "https:") {
    return net.connect({ host, port, noDelay: true });
  }
  const servername = net.isIP(host) ? {} : { servername: host };
  return tls.connect({ host, port, ALPNProtocols: [protocol], ...servername }).setNoDelay(true);
}
