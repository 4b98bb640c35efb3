// Live captions: sends samples to the server as they arrive and receives words.

import { captionSocket, ServerError } from "./server.js";

const AHEAD = 64000; // bytes (2 s) that may wait inside the socket; the rest waits here, where it is counted
const AGAIN = 50; // ms

/**
 * One stream, which expects `hotwords`, with commas between them. `hear` receives {partial}, {words} that are final, {behind} in seconds, and at the end {done: true} or
 * {problem}: a ServerError, "errorLost", or "refused" if the socket did not open. No audio is lost while the connection
 * lasts.
 */
export class Captions {
  constructor(hotwords, hear) {
    this.hear = hear;
    this.waiting = []; // chunks, and finally the message that stops the stream
    this.opened = false;
    this.over = false;
    this.socket = captionSocket(hotwords);
    this.socket.onopen = () => {
      this.opened = true;
      this.pump();
    };
    this.socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    this.socket.onclose = () => this.finish({ problem: this.opened ? "errorLost" : "refused" });
  }

  send(chunk) {
    this.waiting.push(chunk);
    this.pump();
  }

  /** Sends the rest, to which the server answers with the last words. */
  stop() {
    this.send(JSON.stringify({ type: "stop" }));
  }

  abort() {
    this.over = true;
    this.socket.close();
  }

  pump() {
    clearTimeout(this.timer);
    if (!this.opened || this.over) return;
    while (this.waiting.length && this.socket.bufferedAmount < AHEAD) this.socket.send(this.waiting.shift());
    if (this.waiting.length) this.timer = setTimeout(() => this.pump(), AGAIN);
    this.hear({ behind: this.waiting.length / 10 });
  }

  receive(message) {
    if (this.over) return;
    if (message.type === "partial") this.hear({ partial: message.text });
    else if (message.type === "final") this.hear({ words: message.words });
    else if (message.type === "done") this.finish({ done: true });
    else if (message.type === "error") this.finish({ problem: new ServerError(null, message.error.message) });
  }

  finish(ending) {
    if (this.over) return;
    this.abort();
    this.hear(ending);
  }
}
