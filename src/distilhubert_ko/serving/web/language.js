// Every text of the page in both languages. An element names its text in data-text, its label in data-label and its
// title in data-title; what stands in braces comes from data-params.

const KEY = "language";

const TEXTS = {
  title: ["한국어 받아쓰기", "Korean speech to text"],
  language: ["언어", "Language"],
  sources: ["무엇을 받아쓸까요?", "What shall be transcribed?"],
  choose: ["파일 고르기", "Choose a file"],
  drop: ["또는 소리나 영상 파일을 여기에 끌어다 놓으세요.", "Or drop an audio or video file here."],
  record: ["녹음하기", "Record"],
  recordHint: ["말을 마치면 받아씁니다", "Transcribed when you are done"],
  captions: ["실시간 자막", "Live captions"],
  captionsHint: ["말하는 동안 글이 나타납니다", "Words appear as you speak"],
  noMicrophone: [
    "마이크를 쓸 수 없습니다. 이 컴퓨터에서 열었거나(localhost) HTTPS로 연 페이지에서만 쓸 수 있습니다.",
    "The microphone works only on a page opened from this computer (localhost) or over HTTPS.",
  ],
  recording: ["녹음 중", "Recording"],
  captioning: ["실시간 자막", "Live captions"],
  stop: ["마침", "Stop"],
  discard: ["버리기", "Discard"],
  microphoneName: ["녹음 {time}", "recording {time}"],
  listening: ["듣고 있습니다. 말씀하세요.", "Listening. Please speak."],
  behind: ["서버가 {seconds}초 뒤처져 있습니다. 말은 빠짐없이 보냅니다.", "The server is {seconds} s behind; nothing is left out."],
  finishing: ["마지막 말을 받아쓰는 중입니다…", "Waiting for the last words…"],
  uploading: ["보내는 중… {percent}%", "Sending… {percent}%"],
  transcribing: ["받아쓰는 중…", "Transcribing…"],
  waiting: ["서버가 바쁩니다. {seconds}초 뒤에 다시 보냅니다.", "The server is busy; trying again in {seconds} s."],
  ready: ["다 되었습니다. 단어 {count}개.", "Done. Words: {count}."],
  cancelled: ["취소했습니다.", "Cancelled."],
  cancel: ["취소", "Cancel"],
  retry: ["다시 시도", "Try again"],
  dismiss: ["닫기", "Close"],
  play: ["재생", "Play"],
  pause: ["멈춤", "Pause"],
  position: ["재생 위치", "Position"],
  zoom: ["확대와 축소", "Zoom"],
  zoomIn: ["확대", "Zoom in"],
  zoomOut: ["축소", "Zoom out"],
  zoomFit: ["전체", "All"],
  noSound: [
    "이 브라우저가 재생하지 못하는 형식입니다. 글은 고치고 내려받을 수 있습니다.",
    "This browser cannot play the format. The text can be corrected and downloaded all the same.",
  ],
  download: ["내려받기", "Download"],
  undo: ["되돌리기", "Undo"],
  transcript: ["받아쓴 글", "Transcript"],
  help: [
    "단어를 누르면 그곳부터 재생하고, 두 번 누르면 고칩니다. 연필을 누르면 한 줄을 고칩니다.",
    "Click a word to play from it, double-click to correct it. The pen corrects a line.",
  ],
  helpKeys: [
    "키보드: 화살표로 단어 이동, Enter 재생, F2 고치기, 스페이스 재생·멈춤, Ctrl+Z 되돌리기.",
    "Keys: arrows move between words, Enter plays, F2 corrects, space plays and pauses, Ctrl+Z undoes.",
  ],
  unsureLegend: ["점선: 확실하지 않은 단어", "Dotted: unsure"],
  unsure: ["{word}, 확신도 {percent}%", "{word}, confidence {percent} %"],
  unsureTitle: ["확신도 {percent}%", "Confidence {percent} %"],
  correctWord: ["단어 고치기", "Correct the word"],
  correctLine: ["{time}의 글 고치기", "Correct the line at {time}"],
  playFrom: ["{time}, 여기부터 재생", "Play from {time}"],
  nothing: ["말이 들리지 않았습니다.", "No words were heard."],
  unsaved: ["고친 글을 아직 내려받지 않았습니다. 버릴까요?", "Your corrections have not been downloaded. Discard them?"],
  facts: ["모델", "Model"],
  factsMissing: ["모델 정보를 읽지 못했습니다.", "The facts about the model could not be read."],
  factModel: ["이름", "Name"],
  factCer: ["글자 오류율(CER)", "Character error rate"],
  factCorpus: ["잰 데이터", "Measured on"],
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
    "소리는 이 페이지를 연 서버에서만 받아쓰고, 남기지 않습니다.",
    "Speech is transcribed by the server of this page alone and is not kept.",
  ],
  tokenTitle: ["접근 토큰이 필요합니다", "An access token is needed"],
  tokenHint: ["서버를 관리하는 사람에게 받은 토큰을 넣으세요. 이 탭을 닫으면 지워집니다.", "Enter the token that the server's keeper gave you. It is forgotten when this tab is closed."],
  token: ["토큰", "Token"],
  tokenUse: ["확인", "Continue"],
  errorNetwork: ["서버에 연결하지 못했습니다. 서버가 켜져 있는지, 네트워크가 되는지 확인하세요.", "The server could not be reached. Is it running, and is the network up?"],
  errorToken: ["토큰이 맞지 않습니다.", "The token is missing or wrong."],
  errorSize: ["파일이 너무 크거나 깁니다. 나누거나 소리만 뽑아서 다시 보내세요.", "The file is too large or too long. Split it, or send its sound alone."],
  errorBusy: ["서버가 바쁩니다. 잠시 뒤에 다시 시도하세요.", "The server is busy. Try again in a while."],
  errorTime: ["너무 오래 걸려서 서버가 그만두었습니다. 파일을 나누어 보내세요.", "It took too long, and the server gave up. Split the file."],
  errorFile: ["이 파일은 받아쓸 수 없습니다.", "This file cannot be transcribed."],
  errorServer: ["서버에 문제가 생겼습니다({status}).", "Something went wrong on the server ({status})."],
  errorLost: ["연결이 끊겼습니다. 그때까지의 글과 녹음은 아래에 있습니다. 다시 시도하면 녹음을 처음부터 받아씁니다.", "The connection was lost. What came until then is below. Trying again transcribes the recording from its beginning."],
  errorSlow: ["파일이 너무 천천히 도착해서 서버가 그만두었습니다. 네트워크를 확인하세요.", "The file came too slowly, and the server gave up. Is the network all right?"],
  errorEnded: ["서버가 자막을 끝냈습니다. 그때까지의 글과 녹음은 아래에 있습니다.", "The server ended the captions. What came until then is below."],
  errorCaptions: ["서버가 실시간 자막을 받지 않았습니다. 잠시 뒤에 다시 시도하세요.", "The server did not accept live captions. Try again in a while."],
  errorDenied: ["마이크를 허락하지 않았습니다. 브라우저의 주소창 옆에서 허락할 수 있습니다.", "The microphone was not allowed. You can allow it beside the address bar."],
  errorMicrophone: ["마이크를 열지 못했습니다. 꽂혀 있는지, 다른 프로그램이 쓰고 있지 않은지 확인하세요.", "The microphone could not be opened. Is it plugged in, and free of other programs?"],
};

let language = "ko";

/** The text of `key`, its braces filled from `params`. */
export function text(key, params = {}) {
  return TEXTS[key][language === "ko" ? 0 : 1].replace(/\{(\w+)\}/g, (_, name) => params[name]);
}

/** Gives an element its text, or by `what` its label or title, in this and any language chosen later. */
export function say(element, key, params = {}, what = "text") {
  element.dataset[what] = key;
  if (Object.keys(params).length) element.dataset.params = JSON.stringify(params);
  apply(element);
}

/** As the browser wishes, or as chosen here before. */
export function startLanguage() {
  let chosen = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
  try {
    chosen = localStorage.getItem(KEY) ?? chosen;
  } catch {
    // Without storage the browser's wish stands.
  }
  show(chosen);
  for (const [id, value] of [["korean", "ko"], ["english", "en"]]) {
    document.getElementById(id).addEventListener("click", () => {
      try {
        localStorage.setItem(KEY, value);
      } catch {
        // Chosen for this visit alone.
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
