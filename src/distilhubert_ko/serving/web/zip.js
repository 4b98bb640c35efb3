// Several text files as one ZIP file, which holds them uncompressed, by PKWARE's APPNOTE, sections 4.3.7 to 4.3.16.

const UTF8 = 0x800; // the names are in it
const VERSION = 20;

/** Returns the files {name, content} as a ZIP file; the time of all is `now`. */
export function zipped(files, now = new Date()) {
  const encoder = new TextEncoder();
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, content } of files) {
    const [title, bytes] = [encoder.encode(name), encoder.encode(content)];
    const about = [[2, VERSION], [2, UTF8], [2, 0], ...moment(now), [4, checksum(bytes)], [4, bytes.length], [4, bytes.length], [2, title.length], [2, 0]];
    const head = fields([[4, 0x04034b50], ...about]);
    directory.push(fields([[4, 0x02014b50], [2, VERSION], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), title);
    parts.push(head, title, bytes);
    offset += head.length + title.length + bytes.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const end = [[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0]];
  return new Blob([...parts, ...directory, fields(end)], { type: "application/zip" });
}

/** Returns numbers of so many bytes each, the lowest byte first. */
function fields(values) {
  return Uint8Array.from(values.flatMap(([size, value]) => [...Array(size).keys()].map((at) => value >>> (8 * at))));
}

const moment = (now) => [
  [2, (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1)],
  [2, ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate()],
];

/** Returns the CRC-32 of some bytes. */
function checksum(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}
