// The picture of a video, with the transcript as captions over it. Audio has none.

import { captions } from "./transcript.js";

export class Picture {
  constructor(video) {
    this.video = video;
    this.track = video.addTextTrack("captions", "", "ko");
    this.track.mode = "showing";
    for (const event of ["loadedmetadata", "emptied"]) {
      video.addEventListener(event, () => (video.hidden = !video.videoWidth));
    }
  }

  setWords(words, duration) {
    for (const cue of [...this.track.cues]) this.track.removeCue(cue);
    for (const { start, end, text } of captions(words, duration)) this.track.addCue(new VTTCue(start, end, text));
  }
}
