// Files that the page gives.

/** Returns the name of a transcript of a recording; of several with one name, each has a `number`. */
export function fileName(recording, format, number = 1) {
  return `${recording.replace(/\.[^.]*$/, "") || "transcript"}${number > 1 ? ` (${number})` : ""}.${format}`;
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000); // some browsers read it only after a confirmation
}
