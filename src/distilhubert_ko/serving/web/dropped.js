// What is dropped on the page: files, and the recordings in folders.

// Those of AUDIO_SUFFIXES in files/recordings.py.
const SUFFIXES = /\.(aiff?|flac|mp3|oga|ogg|opus|wav|3gp|aac|amr|avi|flv|m4[ab]|mka|mkv|mov|mp4|webm|wma|wmv)$/i;

/**
 * Returns a list of {file, isEmpty} of the items of a drop: the files in order, in place of a folder the recordings in
 * it and below, by path. A folder without any looks like a file whose content cannot be read, and is empty.
 */
export async function droppedFiles(items) {
  // All are taken before the first wait, after which the browser has forgotten them.
  const held = [...items].filter(({ kind }) => kind === "file");
  const dropped = held.map((item) => ({ file: item.getAsFile(), entry: item.webkitGetAsEntry() }));
  const found = dropped.map(async ({ file, entry }) => {
    if (!entry?.isDirectory) return [{ file }];
    const recordings = (await recordingsIn(entry)).sort((one, other) => (one.fullPath < other.fullPath ? -1 : 1));
    const files = (await Promise.all(recordings.map((each) => answered(each, "file", [])))).flat();
    return files.length ? files.map((each) => ({ file: each })) : [{ file, isEmpty: true }];
  });
  return (await Promise.all(found)).flat();
}

/** Returns the entries of the recordings in a folder and below. What is hidden or cannot be read is left out. */
async function recordingsIn(folder) {
  const shown = (await restOf(folder.createReader())).filter(({ name }) => !name.startsWith("."));
  const found = shown.map((entry) => {
    if (entry.isDirectory) return recordingsIn(entry);
    return SUFFIXES.test(entry.name) ? [entry] : [];
  });
  return (await Promise.all(found)).flat();
}

/** Returns what a reader of a folder has not given yet. It gives a hundred entries at a time. */
async function restOf(reader) {
  const some = await answered(reader, "readEntries", []);
  return some.length ? [...some, ...(await restOf(reader))] : [];
}

/** Returns what a method with two callbacks answers, or `otherwise` where it fails. */
function answered(object, method, otherwise) {
  return new Promise((resolve) => object[method](resolve, () => resolve(otherwise)));
}
