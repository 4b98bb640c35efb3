// Every text of the page in both languages. An element names its text in data-text, its label in data-label and its
// title in data-title; values for the braces come from data-params.

const KEY = "language";

const TEXTS = {
  title: ["한국어 받아쓰기", "Korean speech to text"],
  language: ["언어", "Language"],
  sources: ["무엇을 받아쓸까요?", "What would you like to transcribe?"],
  choose: ["파일 선택", "Choose files"],
  drop: ["또는 오디오·동영상 파일이나 폴더를 여기에 끌어다 놓으세요.", "Or drop audio or video files, or folders, here."],
  record: ["녹음하기", "Record"],
  recordHint: ["녹음을 마치면 받아씁니다", "Transcribed when you stop"],
  captions: ["실시간 자막", "Live captions"],
  captionsHint: ["말하는 동안 글이 나타납니다", "Words appear as you speak"],
  noMicrophone: [
    "마이크를 사용할 수 없습니다. 마이크는 이 컴퓨터에서 연 페이지(localhost)나 HTTPS 페이지에서만 작동합니다.",
    "The microphone is not available. It works only on a page from this computer (localhost) or over HTTPS.",
  ],
  limits: ["최대 {size} MB, {minutes}분.", "At most {size} MB, {minutes} minutes."],
  split: ["채널마다 다른 사람 (통화 녹음)", "One speaker per channel (calls)"],
  hotwords: ["나올 만한 낱말", "Words to expect"],
  speaker: ["화자 {number}", "Speaker {number}"],
  copy: ["복사", "Copy"],
  copied: ["복사했습니다", "Copied"],
  playbackSpeed: ["재생 속도", "Playback speed"],
  errorSplit: ["이 파일은 화자별로 나눌 수 없습니다. 채널이 하나뿐인 녹음이라면 ‘채널마다 다른 사람’을 끄세요.", "This file cannot be split into speakers. If it has one channel, turn off “One speaker per channel”."],
  errorHotwords: ["나올 만한 낱말은 한글로, 쉼표로 나누어 쓰세요.", "Write the words to expect in Hangul, with commas between them."],
  digits: ["숫자로 쓰기 (오천 원 → 5,000원)", "Write numbers in digits"],
  recording: ["녹음 중", "Recording"],
  captioning: ["실시간 자막", "Live captions"],
  stop: ["정지", "Stop"],
  discard: ["버리기", "Discard"],
  microphoneName: ["녹음 {time}", "recording {time}"],
  listening: ["듣고 있습니다. 말씀하세요.", "Listening. Please speak."],
  behind: ["서버 처리가 {seconds}초 늦어지고 있습니다. 음성은 빠짐없이 전송됩니다.", "The server is {seconds} s behind. No audio is lost."],
  finishing: ["마지막 부분을 받아쓰는 중…", "Waiting for the last words…"],
  uploading: ["업로드 중…", "Uploading…"],
  loadingModel: ["모델을 불러오는 중…", "Loading the model…"],
  queue: ["파일 목록", "Files"],
  queueDone: ["{all}개 중 {done}개 완료", "{done} of {all} done"],
  queueFailed: ["{all}개 중 {done}개 완료, {failed}개 실패", "{done} of {all} done, {failed} failed"],
  queued: ["대기 중", "Waiting"],
  downloadAll: ["완료된 글 모두 내려받기", "Download all that are done"],
  format: ["형식", "Format"],
  allName: ["받아쓴 글", "transcripts"],
  finished: ["완료", "Done"],
  retryOf: ["{name} 다시 시도", "Try {name} again"],
  cancelOf: ["{name} 취소", "Cancel {name}"],
  removeOf: ["{name} 목록에서 빼기", "Remove {name} from the list"],
  soFar: ["지금까지 받아쓴 글", "Text so far"],
  transcribing: ["받아쓰는 중…", "Transcribing…"],
  waiting: ["서버가 바쁩니다. {seconds}초 뒤에 다시 시도합니다.", "The server is busy. Trying again in {seconds} s."],
  ready: ["받아쓰기를 마쳤습니다. 단어 {count}개.", "Done. Words: {count}."],
  cancelled: ["취소했습니다.", "Cancelled."],
  cancel: ["취소", "Cancel"],
  retry: ["다시 시도", "Try again"],
  dismiss: ["닫기", "Close"],
  play: ["재생", "Play"],
  pause: ["일시정지", "Pause"],
  picture: ["동영상 화면", "Video"],
  position: ["재생 위치", "Position"],
  zoom: ["확대와 축소", "Zoom"],
  zoomIn: ["확대", "Zoom in"],
  zoomOut: ["축소", "Zoom out"],
  zoomFit: ["전체", "All"],
  noSound: [
    "이 브라우저에서는 재생할 수 없는 형식입니다. 글은 고치고 내려받을 수 있습니다.",
    "This browser cannot play this format. You can still correct and download the text.",
  ],
  download: ["내려받기", "Download"],
  undo: ["되돌리기", "Undo"],
  search: ["찾아 바꾸기", "Find and replace"],
  find: ["찾을 말", "Find"],
  findPrevious: ["이전 찾기", "Previous match"],
  findNext: ["다음 찾기", "Next match"],
  found: ["{count}개 중 {number}번째: {line}", "{number} of {count}: {line}"],
  foundNone: ["없음", "No matches"],
  replacement: ["바꿀 말", "Replace with"],
  replaceOne: ["바꾸기", "Replace"],
  replaceAll: ["모두 바꾸기", "Replace all"],
  replaced: ["{count}개를 바꿨습니다", "Replaced: {count}"],
  transcript: ["받아쓴 글", "Transcript"],
  help: [
    "단어를 클릭하면 그 자리부터 재생하고, 두 번 클릭하면 단어를 고칠 수 있습니다. 연필을 클릭하면 한 줄을 고칠 수 있습니다.",
    "Click a word to play from there. Double-click it to correct it. Click the pencil to correct a line.",
  ],
  helpKeys: [
    "키보드: 화살표 키로 단어 이동, Enter 재생, F2 고치기, 스페이스 재생·일시정지, Ctrl+Z 되돌리기.",
    "Keys: arrows move between words, Enter plays, F2 corrects, space plays and pauses, Ctrl+Z undoes.",
  ],
  unsureLegend: ["점선: 확실하지 않은 단어", "Dotted: uncertain words"],
  unsure: ["{word}, 확신도 {percent}%", "{word}, confidence {percent} %"],
  unsureTitle: ["확신도 {percent}%", "Confidence {percent} %"],
  correctWord: ["단어 고치기", "Correct the word"],
  correctLine: ["{time}의 글 고치기", "Correct the line at {time}"],
  playFrom: ["{time}, 여기부터 재생", "Play from {time}"],
  nothing: ["인식된 말이 없습니다.", "No speech was recognised."],
  unsaved: ["고친 내용을 아직 내려받지 않았습니다. 버릴까요?", "Your corrections have not been downloaded. Discard them?"],
  facts: ["모델", "Model"],
  factsMissing: ["모델 정보를 불러오지 못했습니다.", "The facts about the model could not be loaded."],
  factModel: ["이름", "Name"],
  factCer: ["글자 오류율(CER)", "Character error rate"],
  factCorpus: ["평가 데이터", "Measured on"],
  synthetic: [
    "{corpus} (합성 음성이므로, 사람의 말에서는 오류가 더 많습니다)",
    "{corpus} (synthetic speech, so people's speech has more errors)",
  ],
  factUnits: ["단위", "Units"],
  factSize: ["크기", "Size"],
  factParameters: ["매개변수", "Parameters"],
  factLanguageModel: ["언어 모델", "Language model"],
  factSpeed: ["속도", "Speed"],
  factThreads: ["스레드", "Threads"],
  syllables: ["음절", "syllables"],
  jamo: ["자모", "jamo"],
  yes: ["있음", "yes"],
  no: ["없음", "none"],
  megabytes: ["{size} MB", "{size} MB"],
  millions: ["{count}만 개", "{millions} million"],
  speed: ["실시간의 {factor}배", "{factor} × real time"],
  privacy: [
    "음성은 이 페이지의 서버에서만 처리되며 저장되지 않습니다.",
    "Only the server of this page processes your audio, and it does not keep it.",
  ],
  privacyHere: [
    "음성은 이 브라우저 안에서만 처리되며 어디로도 전송되지 않습니다.",
    "Your audio is processed in this browser and is sent nowhere.",
  ],
  tokenTitle: ["접근 토큰이 필요합니다", "An access token is required"],
  tokenHint: ["서버 관리자에게 받은 토큰을 입력하세요. 이 탭을 닫으면 지워집니다.", "Enter the token from the administrator of the server. It is forgotten when you close this tab."],
  token: ["토큰", "Token"],
  tokenUse: ["확인", "Continue"],
  errorNetwork: ["서버에 연결하지 못했습니다. 서버가 켜져 있는지, 네트워크에 문제가 없는지 확인하세요.", "The server could not be reached. Check that it is running and that the network works."],
  errorToken: ["토큰이 없거나 올바르지 않습니다.", "The token is missing or wrong."],
  errorSize: ["파일이 너무 크거나 깁니다. 파일을 나누거나 오디오만 추출해서 보내세요.", "The file is too large or too long. Split it, or send only its audio."],
  errorBusy: ["서버가 바쁩니다. 잠시 뒤에 다시 시도하세요.", "The server is busy. Try again later."],
  errorTime: ["너무 오래 걸려서 서버가 처리를 중단했습니다. 파일을 나누어 보내세요.", "It took too long, so the server stopped. Split the file."],
  errorFolder: ["이 폴더에는 오디오나 동영상 파일이 없습니다.", "This folder has no audio or video files."],
  errorFile: ["이 파일은 받아쓸 수 없습니다.", "This file cannot be transcribed."],
  errorFormat: ["이 브라우저가 열 수 없는 형식입니다. MP3나 WAV로 바꾸어 다시 선택하세요.", "This browser cannot open the format. Convert the file to MP3 or WAV."],
  errorModel: ["모델을 불러오거나 실행하지 못했습니다. 네트워크를 확인하고 다시 시도하세요.", "The model could not be loaded or run. Check the network and try again."],
  errorServer: ["서버에 문제가 생겼습니다({status}).", "Something went wrong on the server ({status})."],
  errorLost: ["연결이 끊겼습니다. 그때까지 받아쓴 글과 녹음은 아래에 있습니다. 다시 시도하면 녹음을 처음부터 받아씁니다.", "The connection was lost. The text and the recording up to then are below. Try again to transcribe the recording from the start."],
  errorSlow: ["전송이 너무 느려서 서버가 처리를 중단했습니다. 네트워크를 확인하세요.", "The upload was too slow, so the server stopped. Check the network."],
  errorEnded: ["서버가 자막을 끝냈습니다. 그때까지 받아쓴 글과 녹음은 아래에 있습니다.", "The server ended the captions. The text and the recording up to then are below."],
  errorCaptions: ["서버가 실시간 자막을 시작하지 못했습니다. 잠시 뒤에 다시 시도하세요.", "The server did not start live captions. Try again later."],
  errorDenied: ["마이크 사용이 허용되지 않았습니다. 브라우저의 주소창 옆에서 허용할 수 있습니다.", "Access to the microphone was denied. You can allow it next to the address bar."],
  errorMicrophone: ["마이크를 열지 못했습니다. 마이크가 연결되어 있는지, 다른 프로그램이 사용하고 있지 않은지 확인하세요.", "The microphone could not be opened. Check that it is plugged in and that no other program uses it."],
};

let language = "ko";

/** Returns the text of `key` with `params` in its braces. */
export function text(key, params = {}) {
  return TEXTS[key][language === "ko" ? 0 : 1].replace(/\{(\w+)\}/g, (_, name) => params[name]);
}

/** Sets the text of an element, or its label or title (`what`), in this language and any later one. */
export function say(element, key, params = {}, what = "text") {
  element.dataset[what] = key;
  if (Object.keys(params).length) element.dataset.params = JSON.stringify(params);
  apply(element);
}

/** Starts with the language of the browser, or the one chosen before. */
export function startLanguage() {
  let chosen = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
  try {
    chosen = localStorage.getItem(KEY) ?? chosen;
  } catch {
    // Without storage, the language of the browser applies.
  }
  show(chosen);
  for (const [id, value] of [["korean", "ko"], ["english", "en"]]) {
    document.getElementById(id).addEventListener("click", () => {
      try {
        localStorage.setItem(KEY, value);
      } catch {
        // Without storage, the choice lasts for this visit only.
      }
      show(value);
    });
  }
}

function show(chosen) {
  language = chosen === "ko" ? "ko" : "en";
  document.documentElement.lang = language;
  document.title = `${text("title")} · distilhubert-ko`;
  document.getElementById("korean").setAttribute("aria-pressed", language === "ko");
  document.getElementById("english").setAttribute("aria-pressed", language === "en");
  document.querySelectorAll("[data-text], [data-label], [data-title]").forEach(apply);
}

function apply(element) {
  const { text: content, label, title, params } = element.dataset;
  const values = params ? JSON.parse(params) : {};
  if (content) element.textContent = text(content, values);
  if (label) element.setAttribute("aria-label", text(label, values));
  if (title) element.title = text(title, values);
}
